"""The item → neighbours table, as short as the measured recall of its lists allows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsys_lab.errors import ExportError
from recsys_lab.export.ties import recall
from recsys_lab.models.base import NeighbourModel
from serving_min.bounds import Bounds
from serving_min.neighbours import Neighbours
from serving_min.queries import Queries, offsets_of
from serving_min.rerank import TopK

SHORTEST = 50
NUMBERS_PER_BLOCK = 1 << 22  # of the matrix, cut at a time


@dataclass(frozen=True)
class NeighbourTable:
    """Rows of at most ``neighbours`` weights, heaviest first; ``recall`` is that of its lists of ``k``
    against the whole matrix's."""

    weights: Neighbours
    neighbours: int
    recall: float
    target: float
    k: int
    whole: bool = False  # nothing was cut

    def write(self, path: Path) -> None:
        np.savez(
            path,
            offsets=self.weights.offsets,
            items=self.weights.items,
            weights=self.weights.weights,
        )


def build_table(
    model: NeighbourModel,
    queries: Queries,
    *,
    exclude_seen: bool,
    target_recall: float = 0.97,
    k: int = 100,
    table_limit: int = 0,
) -> NeighbourTable:
    """The shortest of 50, 100, 200 … neighbours an item whose lists reach the target, else all of them.

    A matrix of at most ``table_limit`` weights is kept whole, since it costs little to be exact.
    A matrix with negative weights can be shortened in two ways: keep the greatest weights, or the
    greatest by magnitude, since a strong "not this one" is an opinion as well. Both are measured,
    and the better one is taken. A target of 1 keeps everything, as does one that is not reached.
    """
    if not 0 < target_recall <= 1:
        raise ExportError(f"target_recall: {target_recall} is not a share; use a number above 0, at most 1")
    matrix = model.item_weights()
    k = min(k, len(model.candidates))
    lengths = (matrix != 0).sum(axis=1)
    size, longest = SHORTEST, int(lengths.max())
    if target_recall < 1 and int(lengths.sum()) > table_limit:
        exact = model.recommend(queries, k, exclude_seen=exclude_seen)
        ways = (False, True) if matrix.min() < 0 else (False,)
        while size < longest:
            cuts = [
                replace(_cut(matrix, size, model.candidates, by_magnitude=way), recency=model.recency) for way in ways
            ]
            recalls = [recall(exact, _lists(cut, queries, exclude_seen, k)) for cut in cuts]
            best = int(np.argmax(recalls))
            if recalls[best] >= target_recall:
                return NeighbourTable(cuts[best], size, recalls[best], target_recall, k)
            size *= 2
    return NeighbourTable(_cut(matrix, longest, model.candidates), longest, 1.0, target_recall, k, whole=True)


def _cut(matrix: Any, size: int, candidates: NDArray[np.bool_], *, by_magnitude: bool = False) -> Neighbours:
    """The ``size`` largest non-zero weights of each row of ``matrix`` [I, I], dense or CSR, heaviest first."""
    height = max(1, NUMBERS_PER_BLOCK // matrix.shape[1])
    lengths, items, weights = [], [], []
    for start in range(0, matrix.shape[0], height):
        columns, values = _rectangle(matrix[start : start + height])
        key = np.where(values == 0, np.inf, -np.abs(values) if by_magnitude else -values)
        if size < values.shape[1]:
            chosen = np.argpartition(key, size, axis=1)[:, :size]
            columns, values = np.take_along_axis(columns, chosen, 1), np.take_along_axis(values, chosen, 1)
        order = np.argsort(-values, axis=1, kind="stable")
        columns, values = np.take_along_axis(columns, order, 1), np.take_along_axis(values, order, 1)
        kept = values != 0
        lengths.append(kept.sum(axis=1))
        items.append(columns[kept].astype(np.int32))
        weights.append(values[kept].astype(np.float32))
    offsets = offsets_of(np.concatenate(lengths))
    return Neighbours(offsets, np.concatenate(items), np.concatenate(weights), candidates)


def _rectangle(rows: Any) -> tuple[NDArray[np.integer[Any]], NDArray[np.float32]]:
    """Columns and values of some rows as two arrays [rows, width]; a CSR row is filled up with zeros."""
    if not sparse.issparse(rows):
        return np.broadcast_to(np.arange(rows.shape[1]), rows.shape), rows
    lengths = np.diff(rows.indptr)
    inside = np.arange(lengths.max(initial=0)) < lengths[:, None]
    columns, values = np.zeros(inside.shape, np.int64), np.zeros(inside.shape, np.float32)
    columns[inside], values[inside] = rows.indices, rows.data
    return columns, values


def _lists(table: Neighbours, queries: Queries, exclude_seen: bool, k: int) -> TopK:
    histories = np.split(queries.items, queries.offsets[1:-1])
    bounds = [Bounds(k, np.unique(history) if exclude_seen else history[:0]) for history in histories]
    lists = table.best(queries, bounds)
    return TopK(
        np.concatenate([best.items for best in lists]),
        np.concatenate([best.scores for best in lists]),
        np.concatenate([best.filled for best in lists]),
    )
