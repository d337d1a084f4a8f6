"""The network of a neural ranker, from torch to ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys_lab.errors import ParityError
from recsys_lab.export.encoder import TOLERANCE, open_session, write_onnx
from recsys_lab.models.composite import opinions_of
from recsys_lab.models.neural_ranker import NeuralRanker
from serving_min.network import Network
from serving_min.queries import Queries
from serving_min.ranking import Table

CHECKED = 64  # queries
AXES = {"rows": ("one", "candidates"), "items": ("one", "candidates"), "history": ("one", "length")}


def export_scorer(model: NeuralRanker, queries: Queries, path: Path) -> None:
    """Write ``model.scorer`` to ``path``, for any number of candidates and events.

    The tables of up to 64 of ``queries``, their first candidates alone, and each without its history must get the
    scores that torch gives them; raises ParityError when one does not, relative to the largest, within 1e-4.
    """
    scorer = model.scorer
    inputs = scorer.network.inputs
    # no size may be 0 or 1 or equal another's: the exporter takes such for constants
    sizes = {"rows": (2, 3, model.features), "items": (2, 3), "history": (2, 5)}
    example: dict[str, NDArray[Any]] = {
        name: np.zeros(sizes[name], np.float32 if name == "rows" else np.int64) for name in inputs
    }
    write_onnx(scorer.network, example, [AXES[name] for name in inputs], "score", path)
    served = Network(open_session(path), inputs, model.max_history)
    both = [(scorer.score(table), served.score(table)) for table in _tables(model, queries)]
    largest = max((float(np.abs(expected).max()) for expected, _ in both), default=0.0) or 1.0
    worst = max((float(np.abs(got - expected).max()) / largest for expected, got in both), default=0.0)
    if not worst <= TOLERANCE:
        raise ParityError(f"{path.name}: differs from torch by {worst:.2g} of the largest score; allowed {TOLERANCE:g}")


def _tables(model: NeuralRanker, queries: Queries) -> list[Table]:
    some = queries.take(np.arange(min(CHECKED, len(queries))))
    table = model.judge.candidates.table(some, opinions_of(model.fitted, some, model.depth, exclude_seen=False))
    first = np.diff(table.owners, prepend=-1) != 0
    alone = Table(some, table.owners[first], table.codes[first], table.features[first])
    strangers = Table(some.last(0), table.owners, table.codes, table.features)
    return [table, alone, strangers]
