"""The gate: a bundle is only written when the server's engine gives the model's own lists."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsys_lab.errors import ParityError
from recsys_lab.export.probes import probes
from recsys_lab.export.requests import to_requests
from recsys_lab.export.ties import equal_up_to_ties, recall, worst_difference
from recsys_lab.models.base import NeighbourModel, Recommender, VectorModel
from serving_min.engine import Engine
from serving_min.manifest import Parity
from serving_min.messages import MOST_EVENTS, Answer, Request
from serving_min.neighbours import Neighbours
from serving_min.queries import Queries
from serving_min.rerank import NOTHING, TopK
from serving_min.vectors import Vectors

FEW = 200  # queries that each variation of the request is tried on
SHOWN = 4  # places shown on either side of the first difference
EIGHT_BITS = 0.03  # relative: how far scores of vectors of 8 bits a number may be from the model's
STRANGER = "an item that no shop has"


@dataclass(frozen=True)
class Case:
    """Queries that are asked in one way."""

    name: str
    queries: Queries
    exclude_seen: bool
    candidates: NDArray[np.bool_] | None = None


def check_parity(
    model: Recommender,
    engine: Engine,
    queries: Queries,
    *,
    k: int,
    exact: bool,
    target_recall: float,
    tolerance: float = 1e-5,
    seed: int = 0,
) -> Parity:
    """Ask model and engine the same, and raise ParityError with the first query where they differ.

    Asked are the given queries, the histories of ``probes``, items whose vectors are equal, the other
    policy on seen items, a narrowed catalogue, and the same queries as requests with ids, some of
    them unknown. With an ``exact`` index the lists must be equal up to ties (see
    ``equal_up_to_ties``); with an approximate one the recall on the given queries must reach
    ``target_recall``, and a vector's scores and a table's weights must be the model's.
    """
    kept = engine.bundle.model
    allowed = EIGHT_BITS if isinstance(kept, Vectors) and kept.vectors.steps is not None else tolerance
    asked = same = 0
    recalls, worst = [], 0.0
    for case in _cases(model, queries, engine.bundle.manifest.policy.exclude_seen, seed):
        expected = model.recommend(case.queries, k, exclude_seen=case.exclude_seen, candidates=case.candidates)
        got = engine.rank(case.queries, k, exclude_seen=case.exclude_seen, candidates=case.candidates)
        if model.kind == "static":  # a ranking without a model: to the server all of it is the fallback's
            expected = TopK(expected.items, expected.scores, got.filled)
        equal = equal_up_to_ties(expected, got, tolerance)
        difference = worst_difference(expected, got)
        if exact and not equal.all():
            raise ParityError(_explain(model, case, expected, got, int(np.argmin(equal))))
        if model.kind == "vector" and not difference <= allowed:
            raise ParityError(f"{case.name}: scores differ by {difference:.2g} of the largest; allowed is {allowed:g}")
        asked, same = asked + len(equal), same + int(equal.sum())
        recalls.append(recall(expected, got))
        worst = max(worst, difference)
    if recalls[0] < target_recall:
        raise ParityError(f"recall@{k} of the lists is {recalls[0]:.4f}, below target_recall {target_recall:g}")
    few = queries.take(np.arange(min(FEW, len(queries))))
    if isinstance(model, NeighbourModel):
        _check_weights(model, engine, few)
    _check_requests(model, engine, few, k, tolerance)
    return Parity(
        queries=asked, k=k, exact=exact, identical=same / asked, recall=recalls[0], worst_score_difference=worst
    )


def _cases(model: Recommender, queries: Queries, exclude_seen: bool, seed: int) -> Iterator[Case]:
    few = queries.take(np.arange(min(FEW, len(queries))))
    some_items = np.random.default_rng(seed).random(len(model.candidates)) < 0.1
    yield Case("test queries", queries, exclude_seen)
    for name, probe in probes(queries, getattr(model, "max_history", None)).items():
        yield Case(name, probe, exclude_seen)
    if isinstance(model, VectorModel):
        twins = _twins(model)
        if len(twins):
            asked = Queries.from_histories(
                [[int(item)] for item in twins],
                attributes=np.zeros((len(twins), queries.attributes.shape[1]), np.int32),
                event_names=queries.event_names,
            )
            yield Case("items with equal vectors", asked, exclude_seen)
    yield Case(f"exclude_seen={not exclude_seen}", few, not exclude_seen)
    yield Case("a tenth of the items", few, exclude_seen, some_items)


def _twins(model: VectorModel, limit: int = 32) -> NDArray[np.int32]:
    """Some candidates whose vector another candidate has too."""
    codes = np.flatnonzero(model.candidates).astype(np.int32)
    rows = np.ascontiguousarray(model.item_vectors()[codes])
    _, place, count = np.unique(
        rows.view(np.dtype((np.void, rows.shape[1] * rows.itemsize))).ravel(), return_inverse=True, return_counts=True
    )
    return codes[count[place] > 1][:limit]


def _check_weights(model: NeighbourModel, engine: Engine, queries: Queries) -> None:
    """A table may leave weights out, but not change them."""
    table, matrix = engine.bundle.model, model.item_weights()
    if not isinstance(table, Neighbours):
        raise ParityError(f"{model.name}: the bundle has no table of neighbours")
    for item in np.unique(queries.items):
        row = slice(table.offsets[item], table.offsets[item + 1])
        own = matrix[[item]].toarray()[0] if sparse.issparse(matrix) else matrix[item]
        wrong = np.flatnonzero(own[table.items[row]] != table.weights[row])
        if len(wrong):
            there = table.items[row][wrong[0]]
            raise ParityError(
                f"neighbours.npz: {model.catalogue.ids[item]} → {model.catalogue.ids[there]} weighs "
                f"{table.weights[row][wrong[0]]:.6g} in the bundle and {own[there]:.6g} in the model"
            )


def _check_requests(model: Recommender, engine: Engine, queries: Queries, k: int, tolerance: float) -> None:
    """Ids for codes, with unknown items among them, must change nothing but ``unknown_items``."""
    queries = queries.last(MOST_EVENTS - 1)  # and the stranger
    bodies = to_requests(queries, model.catalogue, engine.bundle.manifest.history)
    for body in bodies:
        body["k"] = k
        body["history"] = [{"item": STRANGER, "time": 0}, *body["history"]]
    answers = engine.recommend([msgspec.convert(body, Request) for body in bodies])
    silent = [row for row, answer in enumerate(answers) if answer.unknown_items != [STRANGER]]
    if silent:
        raise ParityError(f"unknown items: query {silent[0]} reports {answers[silent[0]].unknown_items}")
    expected, got = engine.rank(queries, k), _lists(answers, model.catalogue.codes, k)
    equal = equal_up_to_ties(expected, got, tolerance)
    if not equal.all():
        case = Case("unknown items in the history", queries, engine.bundle.manifest.policy.exclude_seen)
        raise ParityError(_explain(model, case, expected, got, int(np.argmin(equal))))


def _lists(answers: list[Answer], codes: dict[str, int], k: int) -> TopK:
    lists = TopK(
        np.full((len(answers), k), NOTHING, np.int32),
        np.full((len(answers), k), -np.inf, np.float32),
        np.zeros((len(answers), k), np.bool_),
    )
    for row, answer in enumerate(answers):
        for place, shown in enumerate(answer.items):
            lists.items[row, place] = codes[shown.id]
            lists.scores[row, place] = shown.score
            lists.filled[row, place] = shown.reason == "popular"
    return lists


def _explain(model: Recommender, case: Case, expected: TopK, got: TopK, row: int) -> str:
    """The history, and both lists around the first place where they differ."""
    differ = (expected.items[row] != got.items[row]) | (expected.filled[row] != got.filled[row])
    differ |= ~np.isclose(expected.scores[row], got.scores[row], rtol=1e-4)
    first = int(np.argmax(differ))
    window = slice(max(0, first - SHOWN), first + SHOWN + 1)

    def shown(lists: TopK) -> str:
        return ", ".join(
            "nothing" if item == NOTHING else f"{model.catalogue.ids[item]} {score:.6g}{' (filled)' if filled else ''}"
            for item, score, filled in zip(
                lists.items[row, window], lists.scores[row, window], lists.filled[row, window], strict=True
            )
        )

    history = case.queries.items[case.queries.offsets[row] : case.queries.offsets[row + 1]]
    latest = ", ".join(str(model.catalogue.ids[item]) for item in history[-5:])
    return (
        f"{case.name}: the bundle's list differs from the model's. Query {row} (latest of {len(history)} items: "
        f"{latest or 'none'}), from place {window.start + 1} on: model [{shown(expected)}], bundle [{shown(got)}]"
    )
