"""The second stage: features of the members' candidates, and a learned score for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from serving_min.blend import Judged
from serving_min.features import ItemFacts, features
from serving_min.opinions import Opinions, named_by, rows_and_codes
from serving_min.queries import Queries


@dataclass(frozen=True)
class Table:
    """What is known of the C candidates of Q queries, one query after the other."""

    queries: Queries
    owners: NDArray[np.int64]  # [C] whose candidate it is, ascending
    codes: NDArray[np.int32]  # [C] ascending within a query
    features: NDArray[np.float32]  # [C, F] ``serving_min.features``

    def given(self, max_length: int) -> Iterator[dict[str, NDArray[Any]]]:
        """The inputs of a network, a query at a time: ``rows`` [1, C, F], ``items`` [1, C] and ``history`` [1, L], the
        latest ``max_length`` events."""
        starts = self.owners.searchsorted(np.arange(len(self.queries) + 1)).tolist()
        recent = self.queries.last(max_length)
        for row, history in enumerate(np.split(recent.items, recent.offsets[1:-1])):
            own = slice(starts[row], starts[row + 1])
            inputs = {"rows": self.features[own], "items": self.codes[own], "history": history}
            kinds = {"rows": np.float32, "items": np.int64, "history": np.int64}
            yield {name: np.ascontiguousarray(array[None], kinds[name]) for name, array in inputs.items()}


class Scorer(Protocol):
    """``Trees`` or ``Network``: makes one number of each candidate, [C]."""

    def score(self, table: Table) -> NDArray[Any]: ...


@dataclass(frozen=True)
class Candidates:
    """Every item that one of ``members`` named on its list of at most ``depth``, and what is to be said about it."""

    members: tuple[str, ...]
    depth: int
    facts: ItemFacts

    def table(self, queries: Queries, opinions: Sequence[Opinions]) -> Table:
        keys = named_by(opinions)
        rows = features(queries, keys, opinions, self.members, self.facts, self.depth)
        return Table(queries, *rows_and_codes(keys), rows)


@dataclass(frozen=True)
class Ranking:
    """The candidates in the order of ``scorer``."""

    candidates: Candidates
    scorer: Scorer

    def judge(self, queries: Queries, opinions: Sequence[Opinions]) -> Judged:
        table = self.candidates.table(queries, opinions)
        return Judged(table.owners, table.codes, self.scorer.score(table).astype(np.float32))
