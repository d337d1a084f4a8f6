"""The second stage: features of the members' candidates, and a learned score for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from serving_min.features import ItemFacts, features
from serving_min.opinions import Opinion, named_by
from serving_min.queries import Queries


class Scorer(Protocol):
    """Makes one number of each row of features."""

    def score(self, rows: NDArray[np.float32]) -> NDArray[Any]: ...


@dataclass(frozen=True)
class Candidates:
    """Every item that one of ``members`` named on its list of at most ``depth``, and what is to be said about it."""

    members: tuple[str, ...]
    depth: int
    facts: ItemFacts

    def table(self, query: Queries, opinions: Sequence[Opinion]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Ascending item codes [C] and their features [C, F], for a single query."""
        codes = named_by(opinions)
        if not len(codes):
            return codes, np.zeros((0, 0), np.float32)
        return codes, features(query, codes, opinions, self.members, self.facts, self.depth)


@dataclass(frozen=True)
class Ranking:
    """The candidates in the order of ``scorer``."""

    candidates: Candidates
    scorer: Scorer

    def judge(self, query: Queries, opinions: Sequence[Opinion]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Ascending item codes and their scores, for a single query."""
        codes, rows = self.candidates.table(query, opinions)
        return codes, self.scorer.score(rows).astype(np.float32) if len(codes) else np.zeros(0, np.float32)
