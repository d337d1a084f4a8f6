"""Gradient boosting with LambdaRank, by LightGBM, and its trees as plain arrays.

Burges, "From RankNet to LambdaRank to LambdaMART: an overview", MSR-TR-2010-82, §7; Ke et al., "LightGBM", NeurIPS
2017.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving_min.trees import Trees

FIXED = {
    "verbose": -1,
    "deterministic": True,
    "force_row_wise": True,  # or it would measure which way is quicker, and sums would depend on it
    "num_threads": 1,
    "use_missing": False,
}


def grow(
    rows: NDArray[np.float32], hits: NDArray[np.bool_], sizes: NDArray[np.int64], *, rounds: int, **settings: Any
) -> Trees:
    """At most ``rounds`` trees that put hits first; ``settings`` as LightGBM calls them.

    ``rows`` [R, F] and ``hits`` [R] hold ``sizes`` [Q] candidates of each question, one after the other.
    """
    import lightgbm

    told = {"objective": "lambdarank", **FIXED, **settings}
    data = lightgbm.Dataset(rows, label=hits.astype(np.int8), group=sizes, params=told)
    return to_trees(lightgbm.train(told, data, num_boost_round=rounds).dump_model())


def to_trees(dumped: dict[str, Any]) -> Trees:
    """The trees of LightGBM's ``dump_model``."""
    feature: list[int] = []
    threshold: list[float] = []
    left: list[int] = []
    right: list[int] = []
    value: list[float] = []

    def place(node: dict[str, Any]) -> int:
        if "leaf_value" in node:
            value.append(node["leaf_value"])
            return -len(value)
        here = len(feature)
        feature.append(node["split_feature"])
        threshold.append(node["threshold"])
        left.append(0)
        right.append(0)
        left[here], right[here] = place(node["left_child"]), place(node["right_child"])
        return here

    roots = [place(tree["tree_structure"]) for tree in dumped["tree_info"]]
    return Trees(
        np.array(roots, np.int32),
        np.array(feature, np.int32),
        np.array(threshold, np.float64),
        np.array(left, np.int32),
        np.array(right, np.int32),
        np.array(value, np.float64),
    )
