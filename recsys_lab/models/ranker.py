"""A second stage over the members' candidates: boosted trees that see history, item, context and first stage.

Two stages as in Covington, Adams & Sargin, "Deep neural networks for YouTube recommendations", RecSys 2016, §2; the
trees and their loss are described in ``models.boosting``, what they see in ``serving_min.features``.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Literal

import numpy as np

from recsys_lab.errors import ConfigError
from recsys_lab.models.base import Arrays
from recsys_lab.models.boosting import grow
from recsys_lab.models.composite import NOBODY, Members
from recsys_lab.models.second_stage import Lessons, SecondStage
from serving_min.trees import MOST, Trees

NAMES = tuple(field.name for field in fields(Trees))


class Ranker(SecondStage):
    """``trees`` of at most ``leaves`` leaves, boosted on the practice questions: for NDCG at ``truncation``
    (``loss`` lambdarank), or to tell hits from misses whosever they are (binary).

    All hits are learned from, and the share ``misses`` of the candidates that are none. A leaf holds at least
    ``leaf_rows`` candidates; each tree sees ``columns`` of the features and ``sample`` of the candidates, and counts
    ``learning_rate``. Ties among candidates go to the lower item code.
    """

    kind = "ranker"

    scorer: Trees

    def __init__(
        self,
        *,
        members: Members = NOBODY,
        trees: int = 150,
        leaves: int = 8,
        learning_rate: float = 0.06,
        leaf_rows: int = 200,
        columns: float = 0.5,
        sample: float = 0.8,
        ridge: float = 10.0,
        loss: Literal["lambdarank", "binary"] = "lambdarank",
        truncation: int = 20,
        misses: float = 0.4,
        depth: int = 100,
        days: float | None = 28.0,
        folds: int = 6,
        exclude_seen: bool = False,
        seed: int = 42,
    ) -> None:
        super().__init__(members, depth, days, folds, exclude_seen)
        for name, value, least in (("trees", trees, 1), ("leaves", leaves, 2), ("leaf_rows", leaf_rows, 1)):
            if value < least:
                raise ConfigError(f"{name}: {value} grows no tree; use {least} or more")
        if leaves > MOST:
            raise ConfigError(f"leaves: {leaves} is more than a tree can have in a bundle; use {MOST} or fewer")
        if loss not in ("lambdarank", "binary"):
            raise ConfigError(f"loss: {loss!r} is none of lambdarank, binary")
        for name, share in (("columns", columns), ("sample", sample), ("misses", misses)):
            if not 0 < share <= 1:
                raise ConfigError(f"{name}: {share} is no share; use more than 0, at most 1")
        if not learning_rate > 0 or not ridge >= 0 or truncation < 1:
            raise ConfigError(
                f"learning_rate: {learning_rate}, ridge: {ridge}, truncation: {truncation}; the first must be "
                "positive, the second 0 or more, the third 1 or more"
            )
        self.trees = trees
        self.leaves = leaves
        self.learning_rate = learning_rate
        self.leaf_rows = leaf_rows
        self.columns = columns
        self.sample = sample
        self.ridge = ridge
        self.loss = loss
        self.truncation = truncation
        self.misses = misses
        self.seed = seed

    def _train(self, lessons: Lessons) -> Trees:
        chosen = lessons.thinned(self.misses, np.random.default_rng(self.seed))
        return grow(
            chosen.rows,
            chosen.hits,
            chosen.sizes,
            rounds=self.trees,
            objective=self.loss,
            num_leaves=self.leaves,
            learning_rate=self.learning_rate,
            min_data_in_leaf=self.leaf_rows,
            feature_fraction=self.columns,
            bagging_fraction=self.sample,
            bagging_freq=1,
            lambda_l2=self.ridge,
            lambdarank_truncation_level=self.truncation,
            seed=self.seed,
        )

    def _arrays(self) -> Arrays:
        return {**super()._arrays(), **{f"trees.{name}": getattr(self.scorer, name) for name in NAMES}}

    def _restore(self, arrays: Arrays) -> None:
        self.scorer = Trees(**{name: arrays.pop(f"trees.{name}") for name in NAMES})
        super()._restore(arrays)
