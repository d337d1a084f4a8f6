"""Several members answer, and a second stage makes one list of what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from serving_min.blend import shares
from serving_min.bounds import Bounds, best_of, no_opinion
from serving_min.opinions import Opinion
from serving_min.queries import Queries
from serving_min.rerank import TopK

SMOOTHING = 60.0  # of reciprocal ranks, where items are compared


class Member(Protocol):
    """What a bundle of one model answers with, too."""

    def best(self, queries: Queries, bounds: Sequence[Bounds]) -> list[TopK]: ...
    def similar(self, code: int, bounds: Bounds, /) -> TopK: ...


class Judge(Protocol):
    """``Blend`` or ``Ranking``: ascending item codes and their scores, for a single query."""

    def judge(self, query: Queries, opinions: Sequence[Opinion]) -> tuple[NDArray[np.int32], NDArray[np.float32]]: ...


@dataclass(frozen=True)
class Composite:
    """Each member names its ``depth`` best within the bounds."""

    members: tuple[Member, ...]
    depth: int
    second: Judge

    def best(self, queries: Queries, bounds: Sequence[Bounds]) -> list[TopK]:
        """One list for each query."""
        wide = [replace(bound, k=self.depth) for bound in bounds]
        lists = [member.best(queries, wide) for member in self.members]
        found = []
        for row, bound in enumerate(bounds):
            opinions = [Opinion.of(each[row], 0) for each in lists]
            codes, scores = self.second.judge(queries.take(np.array([row])), opinions)
            found.append(best_of(codes, scores, bound.k) if len(codes) else no_opinion(bound.k))
        return found

    def similar(self, code: int, bounds: Bounds) -> TopK:
        """The members' similar items, by the sum of their reciprocal ranks."""
        wide = replace(bounds, k=self.depth)
        opinions = [Opinion.of(member.similar(code, wide), 0) for member in self.members]
        codes, said = shares(opinions, "ranks", SMOOTHING)
        return best_of(codes, said.sum(axis=1).astype(np.float32), bounds.k) if len(codes) else no_opinion(bounds.k)
