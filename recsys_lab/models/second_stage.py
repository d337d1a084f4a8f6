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
    """Candidates of Q questions, one question after the other."""

    rows: NDArray[np.float32]  # [R, F]
    hits: NDArray[np.bool_]  # [R]
    sizes: NDArray[np.int64]  # [Q]

    def thinned(self, misses: float, rng: np.random.Generator) -> Lessons:
        """With a share of ``misses`` only, drawn by ``rng``."""
        kept = self.hits | (rng.random(len(self.hits)) < misses)
        owners = np.repeat(np.arange(len(self.sizes)), self.sizes)[kept]
        return Lessons(self.rows[kept], self.hits[kept], np.bincount(owners, minlength=len(self.sizes)))


class SecondStage(Composite):
    """Ranks all that the members name by what a ``Scorer`` makes of ``serving_min.features``."""

    facts: ItemFacts
    scorer: Scorer
    width: int  # the number of features

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
        rows, hits = [], []
        for practice in practices:
            for row, opinions in enumerate(practice.opinions):
                codes, table = self._candidates.table(practice.fold.queries.take(np.array([row])), opinions)
                found = practice.hits(row, codes)
                if found.any() and not found.all():
                    rows.append(table)
                    hits.append(found)
        if not rows:
            raise ModelError(
                f"{self.name}: no question of the last {self.folds} × {self.days} days has a target among the members' "
                "candidates; shorten days, raise depth, or give more history"
            )
        sizes = np.array([len(found) for found in hits])
        self.width = rows[0].shape[1]
        self.scorer = self._train(Lessons(np.concatenate(rows), np.concatenate(hits), sizes))

    def _prepare(self, train: InteractionLog, catalogue: Catalogue) -> None:
        self.facts = item_facts(train, catalogue)

    def _arrays(self) -> Arrays:
        return {
            **super()._arrays(),
            **{f"facts.{name}": getattr(self.facts, name) for name in NAMES},
            "width": np.array([self.width]),
        }

    def _restore(self, arrays: Arrays) -> None:
        self.facts = ItemFacts(**{name: arrays.pop(f"facts.{name}") for name in NAMES})
        self.width = int(arrays.pop("width")[0])
        super()._restore(arrays)
