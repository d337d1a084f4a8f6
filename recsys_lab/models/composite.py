"""What ``hybrid`` and ``ranker`` share: members that answer first, and practice on the log's own end.

The second stage learns from the members' answers to questions that they were not fitted on (``data.practice``); then
the members are fitted again on the whole log, and what was learned stays. The validation fold is never looked at, so
settings can be chosen on it like any other model's.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.fold import Fold
from recsys_lab.data.log import InteractionLog
from recsys_lab.data.practice import practice_folds
from recsys_lab.errors import ConfigError
from recsys_lab.models.base import Arrays, Recommender
from serving_min.blend import Blend
from serving_min.opinions import Opinions, keys_of
from serving_min.queries import Queries
from serving_min.ranking import Ranking

Members = Mapping[str, Recommender | dict[str, Any]]
NOBODY: Members = {}
AT_ONCE = 512  # queries whose candidates are looked at together


@dataclass(frozen=True)
class Practice:
    """Some questions of ``fold`` and what each member said to them."""

    fold: Fold
    rows: slice
    queries: Queries
    opinions: list[Opinions]

    def hits(self, owners: NDArray[np.int64], codes: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which of ``codes`` are targets of the question [C] that is theirs."""
        sizes = np.diff(self.fold.target_offsets)
        wanted = keys_of(np.repeat(np.arange(len(sizes)), sizes), self.fold.target_items)
        return np.isin(keys_of(self.rows.start + owners, codes), wanted)


class Composite(Recommender):
    """``members`` by name: models, or what ``described`` gives. They are taken as settings, never fitted themselves.

    Each member names its ``depth`` best within what a list may hold; what the cut tied with is left out. The
    second stage practises on ``folds`` times the last ``days`` of the log (None: each user's latest moment), for
    lists with or without the items of the history, as ``exclude_seen`` says.
    """

    def __init__(self, members: Members, depth: int, days: float | None, folds: int, exclude_seen: bool) -> None:
        if not members:
            raise ConfigError(f"members: {dict(members)} names no model; give two or more")
        strange = [name for name in members if not name.isidentifier()]
        if strange:
            raise ConfigError(f"members: {strange} cannot name files; use letters, digits and underscores")
        if depth < 2 or folds < 1:
            raise ConfigError(
                f"depth: {depth}, folds: {folds}; lists of 2 or more, whose last item is their edge, and 1 fold or more"
            )
        if days is not None and not days > 0:
            raise ConfigError(f"days: {days} is no time span; use a positive number, or null")
        self.fresh = {name: build(name, member) for name, member in members.items()}
        nested = [name for name, member in self.fresh.items() if isinstance(member, Composite) or member.kind is None]
        if nested:
            raise ConfigError(f"members: {nested} cannot answer inside a bundle; use models that export by themselves")
        self.depth = depth
        self.days = days
        self.folds = folds
        self.exclude_seen = exclude_seen

    @property
    def members(self) -> dict[str, dict[str, Any]]:
        """The members' settings, as ``__init__`` takes them."""
        return {name: described(member) for name, member in self.fresh.items()}

    def score(self, queries: Queries) -> NDArray[np.float32]:
        return self.score_within(queries, self.candidates, exclude_seen=False)

    def score_within(self, queries: Queries, allowed: NDArray[np.bool_], *, exclude_seen: bool) -> NDArray[np.float32]:
        scores = np.full((len(queries), len(allowed)), -np.inf, np.float32)
        judge = self.judge
        for rows, batch, opinions in self._asked(queries, exclude_seen=exclude_seen, candidates=allowed):
            judged = judge.judge(batch, opinions)
            scores[rows.start + judged.rows, judged.codes] = judged.scores
        return scores

    def _asked(
        self, queries: Queries, *, exclude_seen: bool, candidates: NDArray[np.bool_] | None = None
    ) -> Iterator[tuple[slice, Queries, list[Opinions]]]:
        """What the members say, some queries at a time."""
        for rows, batch in queries.batches(AT_ONCE):
            yield rows, batch, opinions_of(self.fitted, batch, self.depth, exclude_seen, candidates)

    def _fit(self, train: InteractionLog, catalogue: Catalogue, valid: Fold | None) -> None:
        self.fitted = {}
        self._learn(self._practices(train, catalogue))
        self.fitted = self._fitted_on(train, catalogue)
        self._prepare(train, catalogue)
        self.candidates = np.logical_or.reduce([model.candidates for model in self.fitted.values()])

    def _practices(self, train: InteractionLog, catalogue: Catalogue) -> Iterator[Practice]:
        """Fold after fold, the latest first: members and ``_prepare`` know each one's past while it is looked at."""
        asked = practice_folds(train, catalogue, days=self.days, folds=self.folds, exclude_seen=self.exclude_seen)
        for fold in asked:
            self.fitted = self._fitted_on(fold.train, fold.catalogue, fold)
            self._prepare(fold.train, fold.catalogue)
            for rows, batch, opinions in self._asked(fold.queries, exclude_seen=self.exclude_seen):
                yield Practice(fold, rows, batch, opinions)

    def _fitted_on(
        self, train: InteractionLog, catalogue: Catalogue, valid: Fold | None = None
    ) -> dict[str, Recommender]:
        """The members, fitted. The first time ``valid`` chooses their epochs, afterwards these stay."""
        if self.fitted:
            return {name: model.refit(train, catalogue) for name, model in self.fitted.items()}
        fresh = {name: fresh_copy(model) for name, model in self.fresh.items()}
        return {name: model.fit(train, catalogue=catalogue, valid=valid) for name, model in fresh.items()}

    def _prepare(self, train: InteractionLog, catalogue: Catalogue) -> None:
        """Take from the log what judging needs besides the members."""

    @abstractmethod
    def _learn(self, practices: Iterator[Practice]) -> None:
        """Learn the second stage; when there is no practice, do without or raise ModelError."""

    @property
    @abstractmethod
    def judge(self) -> Blend | Ranking:
        """The second stage, as the server has it."""

    def _arrays(self) -> Arrays:
        arrays: Arrays = {}
        for name, model in self.fitted.items():
            own = {"popularity": model.popularity, "candidates": model.candidates, **model._arrays()}
            arrays |= {f"{name}.{key}": array for key, array in own.items()}
        return arrays

    def _restore(self, arrays: Arrays) -> None:
        self.fitted = {}
        for name, model in self.fresh.items():
            prefix = f"{name}."
            own = {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
            restored = fresh_copy(model)
            restored.catalogue, restored.history = self.catalogue, []
            restored.popularity, restored.candidates = own.pop("popularity"), own.pop("candidates")
            restored._restore(own)
            self.fitted[name] = restored


def opinions_of(
    models: Mapping[str, Recommender],
    queries: Queries,
    depth: int,
    exclude_seen: bool,
    candidates: NDArray[np.bool_] | None = None,
) -> list[Opinions]:
    """What each model says of its ``depth`` best."""
    return [
        Opinions.of(model.recommend(queries, depth, exclude_seen=exclude_seen, candidates=candidates))
        for model in models.values()
    ]


def described(model: Recommender) -> dict[str, Any]:
    """Class and settings, as a yaml names them."""
    return {"_target_": f"{type(model).__module__}.{type(model).__qualname__}", **model.params()}


def fresh_copy(model: Recommender) -> Recommender:
    """The same settings, unfitted."""
    return type(model)(**model.params())


def build(name: str, member: Recommender | Mapping[str, Any]) -> Recommender:
    """The member that settings describe, unfitted. Raises ConfigError when they describe none."""
    if isinstance(member, Recommender):
        return fresh_copy(member)
    settings = dict(member)
    module, _, kind = str(settings.pop("_target_", "")).rpartition(".")
    try:
        found = getattr(import_module(module), kind)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"members.{name}: {module}.{kind} cannot be imported: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Recommender)):
        raise ConfigError(f"members.{name}: {module}.{kind} is no model")
    model: Recommender = found(**settings)
    return model
