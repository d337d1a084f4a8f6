"""The same scores for everybody, as one voice among others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving_min.bounds import Bounds, best_of, no_opinion
from serving_min.queries import Queries
from serving_min.rerank import TopK


@dataclass(frozen=True)
class Static:
    """``scores`` [I] of the items in ``candidates`` [I]."""

    scores: NDArray[np.float32]
    candidates: NDArray[np.bool_]

    def best(self, queries: Queries, bounds: Sequence[Bounds]) -> list[TopK]:
        """One list for each query; none for an empty history, which the fallback answers."""
        return [
            self._within(bound) if length else no_opinion(bound.k)
            for length, bound in zip(queries.lengths.tolist(), bounds, strict=True)
        ]

    def similar(self, _: int, bounds: Bounds) -> TopK:
        """Nothing: what everybody gets is like no item in particular."""
        return no_opinion(bounds.k)

    def _within(self, bounds: Bounds) -> TopK:
        codes = np.flatnonzero(self.candidates).astype(np.int32)
        codes = codes[bounds.within(codes)]
        return best_of(codes, self.scores[codes], bounds.k)
