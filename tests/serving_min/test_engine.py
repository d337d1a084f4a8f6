from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from serving_min.bundle import Bundle
from serving_min.engine import Engine
from serving_min.errors import RequestError
from serving_min.manifest import TableIndex
from serving_min.messages import Answer, Event, Filters, Golden, PriceRange, Request
from serving_min.queries import Queries
from serving_min.recency import Recency
from tests.serving_min.handmade import NOW, ROWS, write_bundle, write_neighbours, write_sessions, write_vectors

GetEngine = Callable[[str], Engine]
DAY = 86_400
KINDS = ("vector", "neighbours", "sessions", "static")


def ask(engine: Engine, *history: str | Event, **wanted: Any) -> Answer:
    return engine.recommend([Request(history=list(history), **wanted)])[0]


def listed(answer: Answer) -> list[tuple[str, float, str]]:
    return [(item.id, item.score, item.reason) for item in answer.items]


def ids(answer: Answer) -> str:
    return "".join(item.id for item in answer.items)


def test_vector_scores_are_inner_products_best_first_ties_to_the_lower_code(engine: GetEngine) -> None:
    # the query is A = (3, 0): B = (2, 0) scores 6, C = (1, 0) 3, D and E on the other axis 0
    answer = ask(engine("vector"), "A", k=4)
    assert listed(answer) == [("B", 6, "model"), ("C", 3, "model"), ("D", 0, "model"), ("E", 0, "model")]
    assert answer.fallback is None


def test_neighbours_add_up_over_distinct_items_and_popularity_fills(engine: GetEngine) -> None:
    # A gives B .5 and C .25; D gives E .75, A .25 and F .5, but F is no candidate; B, C, E are left
    answer = ask(engine("neighbours"), "A", "D", "A", k=5)
    assert listed(answer) == [("E", 0.75, "model"), ("B", 0.5, "model"), ("C", 0.25, "model")]
    # B gives A .5 and D -1, which is no opinion: D comes from popularity (5), before C (3) and E (3)
    answer = ask(engine("neighbours"), "B", k=4)
    assert listed(answer) == [("A", 0.5, "model"), ("D", 5, "popular"), ("C", 3, "popular"), ("E", 3, "popular")]
    assert answer.fallback is None


def test_events_weigh_by_their_age(tmp_path: Path) -> None:
    def model(folder: Path) -> TableIndex:
        return msgspec.structs.replace(write_neighbours(folder, ROWS, 6), recency=Recency(days=1, exponent=1))

    engine = Engine(Bundle.load(write_bundle(tmp_path / "b", "neighbours", model=model, golden=[])), clock=lambda: NOW)
    # A, now and a day ago, weighs 1 + 1/2 and gives B .75 and C .375; D, three days ago, a quarter: E .1875, A .0625
    history = [Event("D", time=NOW - 3 * DAY), Event("A", time=NOW - DAY), Event("A", time=NOW)]
    answer = ask(engine, *history, k=4, exclude_seen=False)
    assert [(item.id, item.score) for item in answer.items] == [("B", 0.75), ("C", 0.375), ("E", 0.1875), ("A", 0.0625)]
    ahead = ask(engine, Event("A", time=NOW + DAY), k=1)  # a clock that is ahead
    assert listed(ahead) == [("B", 0.5, "model")]


def test_past_sessions_vote(engine: GetEngine) -> None:
    # B, then A: the sessions of A are 0, 1, 3. 3 and 0 hold both: 1 + 1/2 each, A the newer; two are asked
    answer = ask(engine("sessions"), "B", "A", k=4)
    assert listed(answer) == [("C", 1.5, "model"), ("E", 1.5, "model"), ("D", 5, "popular")]
    # the session before the silence is over: A's two latest sessions vote for D, B and E
    answer = ask(engine("sessions"), Event("C", time=NOW - 1801), Event("A", time=NOW), k=4)
    assert listed(answer) == [("B", 1, "model"), ("D", 1, "model"), ("E", 1, "model")]
    assert [item.id for item in engine("sessions").recommend([Request(item="C", k=2)], "similar")[0].items] == [
        "A",
        "B",
    ]


def test_static_answers_from_popularity_whatever_the_history(engine: GetEngine) -> None:
    answer = ask(engine("static"), "B", k=3)
    assert listed(answer) == [("D", 5, "popular"), ("C", 3, "popular"), ("E", 3, "popular")]
    assert answer.fallback is None


@pytest.mark.parametrize("kind", KINDS)
def test_fallback_says_why(engine: GetEngine, kind: str) -> None:
    assert ids(ask(engine(kind), k=3)) == "BDC"
    assert ask(engine(kind)).fallback == "empty history"
    answer = ask(engine(kind), "new", Event("newer", "view"), "new")
    assert (answer.fallback, answer.unknown_items) == ("history has only unknown items", ["new", "newer"])
    answer = ask(engine(kind), Event("A", "wish"))
    assert (answer.fallback, answer.unknown_events) == ("history has only unknown events", ["wish"])
    answer = ask(engine(kind), Event("A", ""), "new")
    assert (answer.fallback, answer.unknown_events) == ("history has only unknown items and events", [""])


def test_a_model_without_opinion_is_said_to_have_none(engine: GetEngine) -> None:
    assert ask(engine("neighbours"), "C").fallback == "the model has no opinion"
    assert ask(engine("vector"), "F", k=2, exclude_seen=False).fallback == "the model has no opinion"  # a zero vector


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_items_are_ignored_and_reported(engine: GetEngine, kind: str) -> None:
    with_unknown, without = ask(engine(kind), "?", "A", "!", "?"), ask(engine(kind), "A")
    assert with_unknown.unknown_items == ["?", "!"]
    assert with_unknown.items == without.items


@pytest.mark.parametrize("kind", KINDS)
def test_seen_and_excluded_items_are_left_out(engine: GetEngine, kind: str) -> None:
    assert set(ids(ask(engine(kind), "A", "D"))) == set("BCE")
    assert set(ids(ask(engine(kind), "A", "D", exclude_seen=False))) == set("ABCDE")
    assert set(ids(ask(engine(kind), "A", "D", exclude=["B", "nothing"]))) == set("CE")
    assert ask(engine(kind), "A", exclude=list("BCDE")).items == []


def test_the_policy_on_seen_items_is_the_bundles(tmp_path: Path) -> None:
    engine = Engine(Bundle.load(write_bundle(tmp_path / "b", "vector", exclude_seen=False)))
    assert ids(ask(engine, "A", k=2)) == "AB"
    assert ids(ask(engine, "A", k=2, exclude_seen=True)) == "BC"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("filters", "left"),
    [
        (Filters(category=["red"]), "BC"),
        (Filters(category=["blue", "green"]), "DE"),
        (Filters(category=[]), ""),
        (Filters(brand=["x"]), "C"),
        (Filters(brand=["y"], category=["blue"]), "E"),
        (Filters(price=PriceRange(20, 30)), "BC"),
        (Filters(price=PriceRange(min=20.5)), "CE"),
        (Filters(price=PriceRange(max=1)), ""),
        (Filters(available=True), "CDE"),
    ],
)
def test_filters(engine: GetEngine, kind: str, filters: Filters, left: str) -> None:
    answer = ask(engine(kind), "A", filters=filters)
    assert "".join(sorted(ids(answer))) == left


def test_availability_is_judged_at_the_time_of_the_request(engine: GetEngine) -> None:
    wanted = Filters(available=True, category=["red"])
    assert ids(ask(engine("static"), filters=wanted)) == "CA"  # the clock says NOW: B comes a second later
    assert ids(ask(engine("static"), filters=wanted, now=NOW + 1)) == "BCA"
    assert ids(ask(engine("static"), filters=wanted, now=NOW - 1)) == "A"


def test_a_filter_on_what_the_shop_does_not_record_is_refused(tmp_path: Path) -> None:
    plain = pa.table({"item_id": list("ABCDEF")})
    engine = Engine(Bundle.load(write_bundle(tmp_path / "b", "static", table=plain, golden=[])))
    for name, wanted in (("brand", ["x"]), ("category", ["x"]), ("price", PriceRange())):
        with pytest.raises(RequestError, match=rf"no {name} to filter by - at `\$.filters.{name}`"):
            ask(engine, filters=Filters(**{name: wanted}))
    assert ids(ask(engine, filters=Filters(available=True))) == "BDCEA"
    assert msgspec.json.encode(ask(engine, k=1).items) == b'[{"id":"B","score":6.0,"reason":"popular"}]'


def test_history_is_sorted_by_time_only_if_all_have_one(tmp_path: Path) -> None:
    # the latest event alone decides here
    engine = Engine(Bundle.load(write_bundle(tmp_path / "b", "vector")))
    object.__setattr__(engine.bundle.model, "max_length", 1)
    assert ids(ask(engine, Event("D", time=NOW - 1), Event("A", time=NOW - 2), k=1)) == "E"
    assert ids(ask(engine, Event("D", time=NOW - 1), "A", k=1)) == "B"


def test_items_show_what_the_catalogue_knows(engine: GetEngine) -> None:
    answer = ask(engine("vector"), "A", k=3)
    assert [msgspec.to_builtins(item) for item in answer.items][1:] == [
        {"id": "C", "score": 3.0, "reason": "model", "category": "red", "brand": "x", "price": 30.0},
        {"id": "D", "score": 0.0, "reason": "model", "title": "Duck", "category": "blue"},
    ]


def test_similar(engine: GetEngine) -> None:
    def near(kind: str, item: str, k: int) -> list[tuple[str, str]]:
        answer = engine(kind).recommend([Request(item=item, k=k)], "similar")[0]
        return [(found.id, found.reason) for found in answer.items]

    kin = "popular in category"
    # by cosine: length does not count, so B and C are alike
    assert near("vector", "A", 3) == [("B", "similar"), ("C", "similar"), ("D", "similar")]
    assert engine("vector").recommend([Request(item="A", k=1)], "similar")[0].items[0].score == 1
    assert near("vector", "F", 3) == [("D", kin), ("E", kin), ("B", "popular")]  # no vector: its category
    assert near("neighbours", "A", 3) == [("B", "similar"), ("C", "similar"), ("D", "popular")]
    assert near("neighbours", "B", 3) == [("A", "similar"), ("C", kin), ("D", "popular")]
    assert near("static", "A", 3) == [("B", kin), ("C", kin), ("D", "popular")]
    unknown = engine("vector").recommend([Request(item="Z", k=2)], "similar")[0]
    assert (unknown.fallback, unknown.unknown_items, len(unknown.items)) == ("unknown item", ["Z"], 2)


@pytest.mark.parametrize("kind", KINDS)
def test_golden_answers_to_the_byte(bundles: dict[str, Path], engine: GetEngine, kind: str) -> None:
    lines = (bundles[kind] / "golden.jsonl").read_bytes().splitlines()
    golden = [msgspec.json.decode(line, type=Golden) for line in lines]
    answers = engine(kind).recommend([msgspec.json.decode(line.request, type=Request) for line in golden])
    assert [msgspec.json.encode(answer) for answer in answers] == [bytes(line.answer) for line in golden]
    assert len(golden) == 3


# -- a shop large enough for the index to matter: 3,000 items in 8 dimensions ------------------

N_ITEMS = 3_000


@pytest.fixture(scope="module", params=["Flat", "IVF16,Flat", "neighbours", "sessions", "static"])
def large(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    rng = np.random.default_rng(0)
    ids = [f"i{code}" for code in range(N_ITEMS)]
    table = pa.table({"item_id": ids, "category": [f"c{code % 500}" for code in range(N_ITEMS)]})
    kind = request.param if request.param in KINDS else "vector"

    def model(folder: Path) -> Any:
        if kind == "vector":
            vectors = rng.integers(-100, 101, (N_ITEMS, 8)).astype(np.float32)  # whole numbers: sums are exact
            return write_vectors(folder, vectors, N_ITEMS, factory=request.param)
        if kind == "neighbours":
            rows = {
                code: [(int(item), float(rng.random())) for item in rng.choice(N_ITEMS, 20, replace=False)]
                for code in range(N_ITEMS)
            }
            return write_neighbours(folder, rows, N_ITEMS)
        if kind == "sessions":
            sessions = [rng.choice(N_ITEMS, 8, replace=False).tolist() for _ in range(5_000)]
            return write_sessions(folder, sessions, np.ones(N_ITEMS, np.float32))
        return None

    popularity = rng.random(N_ITEMS).astype(np.float32)
    folder = tmp_path_factory.mktemp(kind)
    return Engine(
        Bundle.load(write_bundle(folder, kind, table=table, popularity=popularity, model=model, golden=[])),
        clock=lambda: NOW,
    )


def test_ties_go_to_the_lower_code_wherever_the_index_stops(tmp_path: Path) -> None:
    # coordinates of -1, 0 and 1 only, so that most scores tie with many others
    rng = np.random.default_rng(3)
    vectors = rng.integers(-1, 2, (400, 3)).astype(np.float32)
    table = pa.table({"item_id": [str(code) for code in range(400)]})
    ones = np.ones(400, np.float32)
    folder = write_bundle(
        tmp_path / "b",
        "vector",
        table=table,
        popularity=ones,
        golden=[],
        model=lambda folder: write_vectors(folder, vectors, 400),
    )
    queries = Queries.from_histories([[code] for code in range(400)], attributes=np.zeros((400, 1), np.int32))
    for k in (1, 3, 8, 31):
        lists = Engine(Bundle.load(folder)).rank(queries, k, exclude_seen=False)
        expected = np.argsort(-(vectors @ vectors.T), axis=1, kind="stable")[:, :k]
        spoken = vectors.any(axis=1)
        assert lists.items[spoken].tolist() == expected[spoken].tolist()


def histories(n: int) -> list[list[int]]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, N_ITEMS, rng.integers(0, 60)).tolist() for _ in range(n)]


def test_batch_is_the_same_as_one_at_a_time(large: Engine) -> None:
    rng = np.random.default_rng(2)
    requests = [
        Request(
            history=[f"i{code}" for code in history],
            k=int(rng.choice([1, 10, 100])),
            filters=Filters(category=[f"c{row}"] if row % 3 == 0 else None),
        )
        for row, history in enumerate(histories(40))
    ]
    assert large.recommend(requests) == [large.recommend([request])[0] for request in requests]


def test_a_narrow_filter_still_fills_the_list(large: Engine) -> None:
    wanted = Filters(category=["c7"])
    for history in histories(10):
        answer = ask(large, *(f"i{code}" for code in history), k=6, exclude_seen=False, filters=wanted)
        assert {item.id for item in answer.items} == {f"i{code}" for code in range(7, N_ITEMS, 500)}


def test_a_long_list_is_full_and_has_nothing_twice_or_seen(large: Engine) -> None:
    for history in histories(5):
        answer = ask(large, *(f"i{code}" for code in history), k=1000)
        found = {item.id for item in answer.items}
        assert len(found) == len(answer.items) == 1000
        assert not found & {f"i{code}" for code in history}


def test_rank_equals_brute_force(large: Engine) -> None:
    model, k = large.bundle.model, 10
    if large.bundle.manifest.kind == "sessions":
        pytest.skip("held against a plain loop over all sessions in tests/models/test_vsknn.py")
    queries = Queries.from_histories(histories(50), attributes=np.zeros((50, 1), np.int32))
    mask = np.arange(N_ITEMS) % 3 > 0
    lists = large.rank(queries, k, candidates=mask)
    for row, history in enumerate(histories(50)):
        scores = np.full(N_ITEMS, -np.inf)
        if history and hasattr(model, "vectors"):
            vectors = model.vectors.stored
            scores = (vectors @ vectors[history[-50:]].sum(axis=0)).astype(np.float64)
        elif history and model is not None:
            scores = np.zeros(N_ITEMS)
            for code in set(history):
                span = slice(model.offsets[code], model.offsets[code + 1])
                np.add.at(scores, model.items[span], model.weights[span])
            scores[scores <= 0] = -np.inf
        scores[~mask] = scores[history] = -np.inf
        known = min(k, int(np.isfinite(scores).sum()))
        best = np.argsort(-scores, kind="stable")[:known]
        rest = np.setdiff1d(np.flatnonzero(mask), [*best, *history])
        filler = rest[np.argsort(-large.bundle.popularity[rest], kind="stable")][: k - known]
        if getattr(getattr(model, "index", None), "nprobe", None) is None:
            assert lists.items[row].tolist() == [*best, *filler]
            np.testing.assert_allclose(lists.scores[row, :known], scores[best], rtol=1e-5)
        else:  # two of sixteen lists are searched: most are found, and the list is full
            assert len(set(lists.items[row].tolist()) - {-1}) == k
        assert lists.filled[row].tolist() == [False] * known + [True] * (k - known)


def test_rank_edges(large: Engine) -> None:
    nothing = Queries.from_histories([], attributes=np.zeros((0, 1), np.int32))
    assert large.rank(nothing, 4).items.shape == (0, 4)
    one = Queries.from_histories([[1]], attributes=np.zeros((1, 1), np.int32))
    assert (large.rank(one, 4, candidates=np.zeros(N_ITEMS, np.bool_)).items == -1).all()
    assert 1 in large.rank(one, N_ITEMS, exclude_seen=False).items
    assert 1 not in large.rank(one, N_ITEMS).items
    with pytest.raises(RequestError, match="k: 0"):
        large.rank(one, 0)
    with pytest.raises(RequestError, match="candidates: shape"):
        large.rank(one, 1, candidates=np.ones(3, np.bool_))
