"""Several members answer, and a second stage makes one list of what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from msgspec.structs import replace

from serving_min.blend import Judged, shares
from serving_min.bounds import Bounds, best_of, no_opinion
from serving_min.opinions import Opinions
from serving_min.queries import Queries
from serving_min.rerank import TopK

SMOOTHING = 60.0  # of reciprocal ranks, where items are compared


class Member(Protocol):
    """What a bundle of one model answers with, too."""

    def best(self, queries: Queries, bounds: Sequence[Bounds]) -> list[TopK]: ...
    def similar(self, code: int, bounds: Bounds, /) -> TopK: ...


class Judge(Protocol):
    """``Blend`` or ``Ranking``; a query's scores do not depend on the others."""

    def judge(self, queries: Queries, opinions: Sequence[Opinions]) -> Judged: ...


@dataclass(frozen=True)
class Composite:
    """Each member names its ``depth`` best within the bounds."""

    members: tuple[Member, ...]
    depth: int
    second: Judge

    def best(self, queries: Queries, bounds: Sequence[Bounds]) -> list[TopK]:
        """One list for each query."""
        wide = [replace(bound, k=self.depth) for bound in bounds]
        judged = self.second.judge(queries, [Opinions.of(*member.best(queries, wide)) for member in self.members])
        starts = judged.rows.searchsorted(np.arange(len(bounds) + 1)).tolist()
        return [
            best_of(judged.codes[start:end], judged.scores[start:end], bound.k) if end > start else no_opinion(bound.k)
            for bound, start, end in zip(bounds, starts[:-1], starts[1:], strict=True)
        ]

    def similar(self, code: int, bounds: Bounds) -> TopK:
        """The members' similar items, by the sum of their reciprocal ranks."""
        wide = replace(bounds, k=self.depth)
        opinions = [Opinions.of(member.similar(code, wide)) for member in self.members]
        _, codes, said = shares(opinions, "ranks", SMOOTHING)
        return best_of(codes, said.sum(axis=1).astype(np.float32), bounds.k) if len(codes) else no_opinion(bounds.k)
