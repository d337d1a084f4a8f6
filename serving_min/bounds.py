"""What one list may hold, and the best of what was found within it."""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from serving_min.rerank import NOTHING, TopK

Codes = NDArray[np.int32]
FEW = 100  # one item of so many allowed: to look for each of them is quicker than to ask all


class Bounds(Struct, frozen=True):
    """At most ``k`` items, none of ``barred`` (distinct item codes, in any order), all of them ``allowed`` [I] and
    ``among`` the item codes given, which ascend (None: any). The first ``needed`` of them must be the best (0: all):
    what was found beside them is welcome, but not looked for."""

    k: int
    barred: Codes
    allowed: NDArray[np.bool_] | None = None
    among: Codes | None = None
    needed: int = 0

    @property
    def sure(self) -> int:
        """How many must be the best, if there are so many."""
        return self.needed or self.k

    def within(self, codes: Codes) -> NDArray[np.bool_]:
        """Which of ``codes``, which ascend, are inside the bounds."""
        inside = np.ones(len(codes), np.bool_) if self.allowed is None else self.allowed[codes]
        inside[_found(codes, self.barred)] = False
        if self.among is not None:
            inside &= np.isin(codes, self.among)
        return inside

    def places(self, codes: Codes) -> NDArray[np.int64]:
        """Where in ``codes``, which ascend, those inside the bounds stand; costs little if few are allowed."""
        few = self.among
        if few is None and self.allowed is not None and FEW * np.count_nonzero(self.allowed) < len(self.allowed):
            few = np.flatnonzero(self.allowed).astype(np.int32)
        if few is None:
            return np.flatnonzero(self.within(codes))
        places = _found(codes, few)
        return places[replace(self, among=None).within(codes[places])]


def _found(codes: Codes, wanted: Codes) -> NDArray[np.int64]:
    """Where in ``codes``, which ascend, those of ``wanted`` stand that are there."""
    if not len(codes):
        return np.zeros(0, np.int64)
    places = codes.searchsorted(wanted).clip(max=len(codes) - 1)
    found: NDArray[np.int64] = places[codes[places] == wanted]
    return found


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
