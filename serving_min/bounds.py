"""What one list may hold, and the best of what was found within it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving_min.rerank import NOTHING, TopK

Codes = NDArray[np.int32]


@dataclass(frozen=True)
class Bounds:
    """At most ``k`` items, none of ``barred`` (item codes), all of them ``allowed`` [I] (None: any)."""

    k: int
    barred: Codes
    allowed: NDArray[np.bool_] | None = None

    def within(self, codes: Codes) -> NDArray[np.bool_]:
        """Which of ``codes``, which ascend, are inside the bounds."""
        inside = np.ones(len(codes), np.bool_) if self.allowed is None else self.allowed[codes]
        if len(codes):
            places = codes.searchsorted(self.barred).clip(max=len(codes) - 1)
            inside[places[codes[places] == self.barred]] = False
        return inside


def best_of(codes: Codes, scores: NDArray[np.float32], k: int) -> TopK:
    """The list of the best k of the given ``codes``, which ascend; ties go to the lower code.

    The same list as ``rerank.top_k`` makes of a whole row of scores, sooner.
    """
    if len(codes) > k:
        kept = np.flatnonzero(scores >= np.partition(scores, -k)[-k])  # with all that tie at the edge
        codes, scores = codes[kept], scores[kept]
    order = np.argsort(-scores, kind="stable")[:k]
    best = no_opinion(k)
    best.items[0, : len(order)] = codes[order]
    best.scores[0, : len(order)] = scores[order]
    return best


def no_opinion(k: int) -> TopK:
    """A list of k empty places."""
    shape = (1, k)
    return TopK(np.full(shape, NOTHING, np.int32), np.full(shape, -np.inf, np.float32), np.zeros(shape, np.bool_))
