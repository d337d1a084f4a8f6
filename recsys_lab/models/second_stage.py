"""What rankers share: a table of candidates and their features to learn from, and to be asked with."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ModelError
from recsys_lab.models.base import Arrays
from recsys_lab.models.composite import Composite, Practice
from recsys_lab.models.item_facts import item_facts
from serving_min.features import ItemFacts
from serving_min.ranking import Candidates, Ranking, Scorer

NAMES = tuple(field.name for field in fields(ItemFacts))


@dataclass(frozen=True)
class Lessons:
    """R candidates of Q questions, one question after the other, by the codes of the whole log's catalogue."""

    rows: NDArray[np.float32]  # [R, F]
    items: NDArray[np.int64]  # [R]
    hits: NDArray[np.bool_]  # [R]
    sizes: NDArray[np.int64]  # [Q]
    histories: list[NDArray[np.int64]]  # [Q] of item codes, the oldest first

    @property
    def ends(self) -> NDArray[np.int64]:
        """Where each question but the last ends."""
        return self.sizes.cumsum()[:-1]

    def thinned(self, misses: float, rng: np.random.Generator) -> Lessons:
        """With a share of ``misses`` only, drawn by ``rng``."""
        kept = self.hits | (rng.random(len(self.hits)) < misses)
        owners = np.repeat(np.arange(len(self.sizes)), self.sizes)[kept]
        sizes = np.bincount(owners, minlength=len(self.sizes))
        return Lessons(self.rows[kept], self.items[kept], self.hits[kept], sizes, self.histories)


class SecondStage(Composite):
    """Ranks all that the members name by what a ``Scorer`` makes of ``serving_min.features``."""

    facts: ItemFacts
    scorer: Scorer
    features: int  # how many numbers are known of a candidate

    @property
    def judge(self) -> Ranking:
        return Ranking(self._candidates, self.scorer)

    @property
    def _candidates(self) -> Candidates:
        return Candidates(tuple(self.fresh), self.depth, self.facts)

    @abstractmethod
    def _train(self, lessons: Lessons) -> Scorer:
        """Learn to rank the hits of each question first."""

    def _learn(self, practices: Iterator[Practice]) -> None:
        rows, items, hits, sizes, histories = [], [], [], [], []
        for practice in practices:
            known = np.array([self.catalogue.codes[item] for item in practice.fold.catalogue.ids], np.int64)
            queries = practice.queries
            table = self._candidates.table(queries, practice.opinions)
            found = practice.hits(table.owners, table.codes)
            named = np.bincount(table.owners, minlength=len(queries))
            right = np.bincount(table.owners[found], minlength=len(queries))
            tells = (right > 0) & (right < named)
            kept = tells[table.owners]
            rows.append(table.features[kept])
            items.append(known[table.codes[kept]])
            hits.append(found[kept])
            sizes.append(named[tells])
            pasts = np.split(known[queries.items], queries.offsets[1:-1])
            histories += [pasts[row] for row in np.flatnonzero(tells)]
        if not histories:
            asked = "users' latest moments" if self.days is None else f"the last {self.folds} × {self.days} days"
            raise ModelError(
                f"{self.name}: no question of {asked} has a target among the members' candidates, and others that are "
                f"none; {'' if self.days is None else 'shorten days, '}raise depth, or give more history"
            )
        self.features = rows[0].shape[1]
        self.scorer = self._train(
            Lessons(np.concatenate(rows), np.concatenate(items), np.concatenate(hits), np.concatenate(sizes), histories)
        )

    def _prepare(self, train: InteractionLog, catalogue: Catalogue) -> None:
        self.facts = item_facts(train, catalogue)

    def _arrays(self) -> Arrays:
        return {
            **super()._arrays(),
            **{f"facts.{name}": getattr(self.facts, name) for name in NAMES},
            "features": np.array([self.features]),
        }

    def _restore(self, arrays: Arrays) -> None:
        self.facts = ItemFacts(**{name: arrays.pop(f"facts.{name}") for name in NAMES})
        self.features = int(arrays.pop("features")[0])
        super()._restore(arrays)
