"""What is popular: the fallback of every list, and a voice that speaks for everybody alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from serving_min.bounds import Bounds, no_opinion
from serving_min.queries import Queries
from serving_min.rerank import NOTHING, TopK, fill


@dataclass(frozen=True)
class Popularity:
    """``scores`` [I] of the items in ``candidates`` [I]."""

    scores: NDArray[np.float32]
    candidates: NDArray[np.bool_]

    @cached_property
    def order(self) -> NDArray[np.int32]:
        """The candidates, most popular first; ties go to the lower code."""
        order = np.argsort(-self.scores, kind="stable").astype(np.int32)
        return order[self.candidates[order]]

    def best(self, _: Queries, bounds: Sequence[Bounds]) -> list[TopK]:
        """The same for every query, with or without a history: an opinion, and no fallback."""
        lists = [self.filled(no_opinion(bound.k), bound) for bound in bounds]
        return [replace(best, filled=np.zeros_like(best.filled)) for best in lists]

    def filled(self, found: TopK, bounds: Bounds, kin: NDArray[np.bool_] | None = None) -> TopK:
        """``found`` [1, k] with its empty places filled, from the items in ``kin`` [I] alone if given."""
        if found.items[0, -1] != NOTHING:
            return found
        order = self.order
        if bounds.among is not None:
            order = bounds.among[self.candidates[bounds.among]]
            order = order[np.argsort(-self.scores[order], kind="stable")]
        for allowed in (bounds.allowed, kin):
            if allowed is not None:
                order = order[allowed[order]]
        return fill(found, order, self.scores, [bounds.barred])
