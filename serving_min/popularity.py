"""What is popular: the fallback of every list, and a voice that speaks for everybody alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from serving_min.bounds import Bounds, best_of, no_opinion
from serving_min.queries import Queries
from serving_min.rerank import NOTHING, TopK, fill

HEAD = 20_000  # items that are kept in order, of which most lists are filled


@dataclass(frozen=True)
class Popularity:
    """``scores`` [I] of the items in ``candidates`` [I]."""

    scores: NDArray[np.float32]
    candidates: NDArray[np.bool_]

    def top(self, count: int, *masks: NDArray[np.bool_] | None) -> NDArray[np.int32]:
        """At most ``count`` candidates within all ``masks`` [I], most popular first; ties go to the lower code."""
        narrowed = [mask for mask in masks if mask is not None]
        codes = self._head
        for mask in narrowed:
            codes = codes[mask[codes]]
        if len(codes) < count and len(self._head) == HEAD:  # there are more
            codes = self._first(count, np.logical_and.reduce([self.candidates, *narrowed]))
        return codes[:count]

    @cached_property
    def _head(self) -> NDArray[np.int32]:
        return self._first(HEAD, self.candidates)

    def _first(self, count: int, mask: NDArray[np.bool_]) -> NDArray[np.int32]:
        codes = np.flatnonzero(mask).astype(np.int32)
        return best_of(codes, self.scores[codes], count).items[0, : min(count, len(codes))]

    def best(self, _: Queries, bounds: Sequence[Bounds]) -> list[TopK]:
        """The same for every query, with or without a history: an opinion, and no fallback."""
        lists = [self.filled(no_opinion(bound.k), bound) for bound in bounds]
        return [replace(best, filled=np.zeros_like(best.filled)) for best in lists]

    def filled(self, found: TopK, bounds: Bounds, kin: NDArray[np.bool_] | None = None) -> TopK:
        """``found`` [1, k] with its empty places filled, from the items in ``kin`` [I] alone if given."""
        if found.items[0, -1] != NOTHING:
            return found
        if bounds.among is None:
            order = self.top(2 * bounds.k + len(bounds.barred), bounds.allowed, kin)
        else:
            order = bounds.among[self.candidates[bounds.among]]
            order = order[np.argsort(-self.scores[order], kind="stable")]
            for allowed in (bounds.allowed, kin):
                if allowed is not None:
                    order = order[allowed[order]]
        return fill(found, order, self.scores[order], [bounds.barred])
