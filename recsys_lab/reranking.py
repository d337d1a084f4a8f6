"""The server's rules and re-rankers on the lab's own lists, so that their price is known before they are served.

    recsys-lab train model=als rerank=mmr rerank.mix=.7

``conf/rerank/`` names one of the functions below. Whatever they build is a ``serving_min.rules.Rules``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from recsys_lab.errors import ConfigError
from recsys_lab.settings import in_words
from serving_min.bounds import Bounds
from serving_min.queries import Queries
from serving_min.rerank import NOTHING, TopK
from serving_min.rerank.facts import Facts
from serving_min.rerank.found import Found, Ranked
from serving_min.rerank.reranker import Reranker
from serving_min.rules import Rules

if TYPE_CHECKING:
    from recsys_lab.models.base import Recommender

NO_CODES = np.zeros(0, np.int32)


@dataclass(frozen=True)
class Reranking:
    """``rules`` applied to a model's lists. With exploration, query i draws with seed i."""

    rules: Rules = field(default_factory=Rules)

    def rank(self, model: Recommender, queries: Queries, k: int, *, exclude_seen: bool = True) -> TopK:
        """The best k items for each query, as ``Recommender.recommend`` gives them, after the rules.

        Raises BundleError when the rules speak of what the model's catalogue does not have.
        """
        if self.rules.idle:
            return model.recommend(queries, k, exclude_seen=exclude_seen)
        return self.apply(model.recommend, facts(model), queries, k, exclude_seen=exclude_seen)

    def apply(
        self, recommend: Callable[..., TopK], known: Facts, queries: Queries, k: int, *, exclude_seen: bool = True
    ) -> TopK:
        """The same for whatever else makes lists as ``Recommender.recommend`` does: a bundle's engine."""
        if self.rules.idle:
            return recommend(queries, k, exclude_seen=exclude_seen)
        reranker = Reranker(self.rules, known)
        histories = np.split(queries.items, queries.offsets[1:-1])
        barred = [np.unique(history) if exclude_seen else NO_CODES for history in histories]
        asked = [reranker.asks(Bounds(k, codes), now) for codes, now in zip(barred, queries.now.tolist(), strict=True)]

        def best(rows: NDArray[np.int64], bounds: Bounds) -> TopK:
            return recommend(queries.take(rows), bounds.k, exclude_seen=exclude_seen, candidates=bounds.allowed)

        def more(rows: NDArray[np.int64], bounds: Bounds) -> Found:
            return Found.of(best(rows, bounds))

        ranked: list[Ranked | None] = [None] * len(queries)
        for rows in _alike(asked):
            lists = best(rows, asked[rows[0]])
            for place, row in enumerate(rows.tolist()):
                ranked[row] = reranker.rank(
                    Found.of(lists, place),
                    asked[row],
                    k,
                    now=int(queries.now[row]),
                    seed=row,
                    history=histories[row],
                    more=partial(more, np.array([row])),
                )
        return _table(ranked, k)

    def surface(self) -> dict[str, Any]:
        """The server's ``recommend`` with these rules, as ``conf/export`` writes a surface."""
        retrievers = [{"source": "model"}]
        return {"retrievers": retrievers, "fallback": ["popular"], "rules": msgspec.to_builtins(self.rules)}


def _alike(asked: list[Bounds]) -> list[NDArray[np.int64]]:
    """The queries that are allowed the same items, together."""
    masks = np.array([id(bounds.allowed) for bounds in asked], np.int64)
    return [np.flatnonzero(masks == mask) for mask in np.unique(masks)]


def _table(ranked: list[Ranked | None], k: int) -> TopK:
    shape = (len(ranked), k)
    lists = TopK(np.full(shape, NOTHING, np.int32), np.full(shape, -np.inf, np.float32), np.zeros(shape, np.bool_))
    for row, one in enumerate(ranked):
        if one is not None:
            size = len(one)
            lists.items[row, :size], lists.scores[row, :size] = one.codes, one.scores
            lists.filled[row, :size] = one.filled
    return lists


def facts(model: Recommender) -> Facts:
    """What rules know of a fitted model's items: what its bundle would say of them."""
    from pathlib import Path

    from recsys_lab.export.tables import items_table
    from recsys_lab.models.base import VectorModel
    from recsys_lab.models.composite import Composite
    from serving_min.items import Items

    members = [*model.fitted.values()] if isinstance(model, Composite) else [model]
    with_vectors = next((member for member in members if isinstance(member, VectorModel)), None)
    rows = None
    if with_vectors is not None:
        vectors = np.where(with_vectors.candidates[:, None], with_vectors.item_vectors(), np.float32(0))
        rows = vectors.__getitem__
    return Facts(Items.of(items_table(model.catalogue), Path("the catalogue")), model.popularity, rows)


# -- the choices of conf/rerank ------------------------------------------------------------


def none() -> Reranking:
    """The model's own lists."""
    return Reranking()


def mmr(*, mix: float = 0.7, depth: int = 100) -> Reranking:
    """Maximal marginal relevance."""
    return _built({"variety": {"by": "mmr", "mix": mix}, "depth": depth})


def dpp(*, mix: float = 0.7, depth: int = 100) -> Reranking:
    """A determinantal point process."""
    return _built({"variety": {"by": "dpp", "mix": mix}, "depth": depth})


def calibrated(*, mix: float = 0.7, smoothing: float = 0.01, depth: int = 100) -> Reranking:
    """The user's own mix of categories."""
    variety = {"by": "calibrated", "mix": mix, "smoothing": smoothing}
    return _built({"variety": variety, "depth": depth})


def capped(*, category: int | None = 2, brand: int | None = None, depth: int = 100) -> Reranking:
    """At most so many items of a category, or of a brand."""
    return _built({"caps": {"category": category, "brand": brand}, "depth": depth})


def of_rules(*, rules: Mapping[str, Any] | None = None) -> Reranking:
    """All that ``serving_min.rules.Rules`` can say, as in ``surfaces.json``."""
    return _built(rules or {}, "rerank.rules")


def _built(rules: Mapping[str, Any], settings: str = "rerank") -> Reranking:
    """Raises ConfigError, which says where in ``settings`` the mistake is."""
    try:
        return Reranking(msgspec.convert(rules, Rules))
    except msgspec.ValidationError as error:
        said, _, where = in_words(error).partition(" - at `$")
        if settings == "rerank":
            where = "." + where.rpartition(".")[2]  # the short forms leave out what a setting is part of
        raise ConfigError(f"{settings}{where.rstrip('`')}: {said[0].lower()}{said[1:]}") from error
