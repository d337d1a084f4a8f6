"""What one list may hold, and the best of what was found within it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving_min.rerank import TopK, top_k


@dataclass(frozen=True)
class Bounds:
    """At most ``k`` items, none of ``barred`` (item codes), all of them ``allowed`` [I] (None: any)."""

    k: int
    barred: NDArray[np.int32]
    allowed: NDArray[np.bool_] | None = None

    def within(self, codes: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which of ``codes`` are inside the bounds."""
        inside = ~np.isin(codes, self.barred) if len(self.barred) else np.ones(len(codes), np.bool_)
        if self.allowed is not None:
            inside &= self.allowed[codes]
        return inside


def best_of(codes: NDArray[np.int32], scores: NDArray[np.float32], k: int) -> TopK:
    """The list of the best k of the given ``codes``, which ascend; ties go to the lower code."""
    best = top_k(scores[None, :], k)
    taken = best.items >= 0
    items = best.items.copy()
    items[taken] = codes[best.items[taken]]
    return TopK(items, best.scores, best.filled)


def no_opinion(k: int) -> TopK:
    """A list of k empty places."""
    return top_k(np.zeros((1, 0), np.float32), k)
