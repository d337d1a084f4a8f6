"""Retrieval from a table: each item of the history speaks for its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving_min.bounds import Bounds, best_of, no_opinion
from serving_min.queries import Queries
from serving_min.recency import Recency
from serving_min.rerank import TopK


@dataclass(frozen=True)
class Neighbours:
    """The rows of a sparse item × item matrix (CSR), heaviest weight first."""

    offsets: NDArray[np.int64]  # [I + 1]
    items: NDArray[np.int32]  # [N]
    weights: NDArray[np.float32]  # [N]
    candidates: NDArray[np.bool_]  # [I]
    recency: Recency | None = None  # how much an event says; None: each distinct item counts once

    def best(self, queries: Queries, bounds: Sequence[Bounds]) -> list[TopK]:
        """One list for each query: the greatest positive sums over its distinct items."""
        said = None if self.recency is None else self.recency.weights(queries)
        lists = []
        for start, end, bound in zip(queries.offsets[:-1], queries.offsets[1:], bounds, strict=True):
            history, groups = np.unique(queries.items[start:end], return_inverse=True)
            strengths: NDArray[np.float64] = np.ones(len(history))
            if said is not None:
                strengths = np.bincount(groups, said[start:end], len(history)).astype(np.float64)
            lists.append(self._best_one(history, strengths, bound))
        return lists

    def similar(self, code: int, bounds: Bounds) -> TopK:
        """The item's own row."""
        return self._best_one(np.array([code], np.int32), np.ones(1), bounds)

    def _best_one(self, history: NDArray[np.int32], strengths: NDArray[np.float64], bounds: Bounds) -> TopK:
        lengths = self.offsets[history + 1] - self.offsets[history]
        ends = lengths.cumsum()
        if not len(ends) or not ends[-1]:
            return no_opinion(bounds.k)
        places = np.arange(ends[-1]) + np.repeat(self.offsets[history] - ends + lengths, lengths)
        said = self.weights[places] * np.repeat(strengths, lengths)
        sums = np.bincount(self.items[places], said, len(self.candidates)).astype(np.float32)
        found = np.flatnonzero(sums > 0).astype(np.int32)
        found = found[self.candidates[found]]
        found = found[bounds.within(found)]
        return best_of(found, sums[found], bounds.k)
