"""What one member of a composite says about a query, made fit to be joined with what others say.

The lab's sums and the server's differ in their last bits, so nothing here may hang on them: scores within a
hair's breadth share a rank, and where a list was cut, all that ties with the cut is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from serving_min.rerank import NOTHING, TopK

SLACK = 1e-5  # of the list's largest magnitude: closer scores are equal


@dataclass(frozen=True)
class Opinion:
    """The items of a member's list, best first, above ``edge``: what it said of those that are not on it, at most."""

    codes: NDArray[np.int32]  # [C]
    scores: NDArray[np.float64]  # [C]
    edge: float

    @classmethod
    def of(cls, lists: TopK, row: int) -> Opinion:
        """Row ``row`` of ``lists``, without what the fallback filled."""
        said = (lists.items[row] != NOTHING) & ~lists.filled[row]
        codes, scores = lists.items[row, said], lists.scores[row, said].astype(np.float64)
        if not len(codes):
            return cls(codes, scores, 0.0)
        edge = float(scores[-1]) if said.all() else min(0.0, float(scores[-1]))
        kept = scores > edge + SLACK * np.abs(scores).max()
        return cls(codes[kept], scores[kept], edge)

    @cached_property
    def shares(self) -> NDArray[np.float64]:
        """Scores from 0 at the edge to 1 at the top, [C]."""
        if not len(self.scores):
            return self.scores
        above = self.scores - self.edge
        shares: NDArray[np.float64] = above / above[0]
        return shares

    @cached_property
    def ranks(self) -> NDArray[np.int64]:
        """Places from 1, [C]; items that tie share the first of theirs."""
        if not len(self.scores):
            return np.zeros(0, np.int64)
        begins = np.diff(self.scores, prepend=np.inf) < -SLACK * np.abs(self.scores).max()
        return np.maximum.accumulate(np.where(begins, np.arange(1, len(begins) + 1), 0))


def named_by(opinions: Sequence[Opinion]) -> NDArray[np.int32]:
    """All items that any of the opinions names, ascending."""
    return np.unique(np.concatenate([np.zeros(0, np.int32), *(opinion.codes for opinion in opinions)]))
