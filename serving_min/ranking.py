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


@dataclass(frozen=True)
class Table:
    """What is known of the C candidates of a single query."""

    query: Queries
    codes: NDArray[np.int32]  # [C] ascending
    rows: NDArray[np.float32]  # [C, F] ``serving_min.features``

    def given(self, max_length: int) -> dict[str, NDArray[Any]]:
        """The inputs of a network: ``rows``, ``items`` [C] and ``history`` [L], the latest ``max_length`` events."""
        items, history = self.codes.astype(np.int64), self.query.items[-max_length:].astype(np.int64)
        return {"rows": self.rows, "items": items, "history": history}


class Scorer(Protocol):
    """``Trees`` or ``Network``: makes one number of each candidate."""

    def score(self, table: Table) -> NDArray[Any]: ...


@dataclass(frozen=True)
class Candidates:
    """Every item that one of ``members`` named on its list of at most ``depth``, and what is to be said about it."""

    members: tuple[str, ...]
    depth: int
    facts: ItemFacts

    def table(self, query: Queries, opinions: Sequence[Opinion]) -> Table:
        """For a single query."""
        codes = named_by(opinions)
        if not len(codes):
            return Table(query, codes, np.zeros((0, 0), np.float32))
        return Table(query, codes, features(query, codes, opinions, self.members, self.facts, self.depth))


@dataclass(frozen=True)
class Ranking:
    """The candidates in the order of ``scorer``."""

    candidates: Candidates
    scorer: Scorer

    def judge(self, query: Queries, opinions: Sequence[Opinion]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Ascending item codes and their scores, for a single query."""
        table = self.candidates.table(query, opinions)
        scores = self.scorer.score(table) if len(table.codes) else np.zeros(0)
        return table.codes, scores.astype(np.float32)
