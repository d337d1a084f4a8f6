"""What a list is filled up with where a surface's retrievers said too little: one fallback after the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving_min.asks import Ask
from serving_min.bounds import Bounds
from serving_min.items import Items
from serving_min.popularity import Popularity
from serving_min.rerank import NOTHING, TopK, fill
from serving_min.segments import SegmentPopularity, behind

CATEGORY, SEGMENT, POPULAR = "popular in category", "popular in segment", "popular"  # reasons, as answers give them
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Fallbacks:
    """Of one bundle."""

    items: Items
    popularity: Popularity
    segments: SegmentPopularity

    def filled(self, ask: Ask, bounds: Bounds, best: TopK, reasons: list[str]) -> tuple[TopK, list[str]]:
        """``best`` [1, k] without empty places, as far as the surface's chain goes, and a reason for each item. Items
        that the request wants ordered are all there, also those that nobody may recommend."""
        for fallback in ask.surface.fallback:
            start = len(reasons)
            if best.items[0, -1] != NOTHING:
                break
            if fallback == "segment":
                best, reason = self.segments.filled(best, bounds, ask.histories["history"].attributes), SEGMENT
            elif fallback == "popular":
                best, reason = self.popularity.filled(best, bounds), POPULAR
            elif (kin := self._kin(ask)) is not None:
                best, reason = self.popularity.filled(best, bounds, kin), CATEGORY
            else:
                continue
            if SEGMENT in reasons:
                best = behind(best, start)
            reasons = [*reasons, *[reason] * (best.present(0) - start)]
        best = _with_given(best, ask, bounds)
        return best, [*reasons, *[UNKNOWN] * (best.present(0) - len(reasons))]

    def _kin(self, ask: Ask) -> NDArray[np.bool_] | None:
        """The items of the categories that the request is about: its page's item's, its cart's, or those it likes."""
        labels = self.items.category
        if labels is None:
            return None
        about = [*ask.histories["item"].items, *ask.histories["cart"].items]
        wanted = [name for name in map(labels.of, about) if name is not None] or ask.request.liked.categories
        return labels.among(wanted) if wanted else None


def _with_given(best: TopK, ask: Ask, bounds: Bounds) -> TopK:
    """``best`` with those of the request's items behind it, as they came, that may be shown and are not on it yet."""
    if not ask.given or best.items[0, -1] != NOTHING:
        return best
    codes = np.array(sorted(ask.given), np.int32)
    inside = set(codes[bounds.within(codes)].tolist())
    order = np.array([code for code in ask.given if code in inside], np.int32)
    return fill(best, order, np.zeros(len(order), np.float32), [bounds.barred])
