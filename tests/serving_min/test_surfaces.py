"""Each surface on a bundle of six items, whose lists can be reckoned by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving_min.asks import Asked
from serving_min.bounds import Bounds
from serving_min.bundle import Bundle
from serving_min.engine import Engine
from serving_min.errors import BundleError, RequestError, UnknownSurfaceError
from serving_min.messages import Answer, Event, Filters, Liked, PriceRange, Request, Scored
from serving_min.queries import Queries
from serving_min.rerank import TopK
from tests.serving_min.handmade import NOW, write_bundle

# popularity: B 6, D 5, F 4, C 3, E 3, A 1; F is no candidate. As "trending": A 4, B 3, C 5, D 3, E 6
SURFACES: dict[str, Any] = {
    "home": {"retrievers": [{"source": "model"}, {"source": "trending", "weight": 0.5}]},
    "bought-together": {"retrievers": [{"source": "pairs", "of": "item"}], "needs": "item", "seen": "keep"},
    "cart": {"retrievers": [{"source": "pairs", "of": "cart"}], "seen": "keep"},
    "buy-again": {"retrievers": [{"source": "model"}], "seen": "only", "events": ["purchase"], "fallback": []},
    "seen-again": {"retrievers": [{"source": "model"}], "seen": "only", "fallback": []},
    "rated-again": {"retrievers": [{"source": "model"}], "seen": "only", "events": ["rating"], "fallback": []},
    "search": {
        "retrievers": [{"source": "given"}, {"source": "model", "weight": 0.5}],
        "needs": "items",
        "seen": "keep",
        "by": "scores",
    },
    "onboarding": {"retrievers": [{"source": "model"}], "needs": "liked"},
    "one-each": {"retrievers": [{"source": "model"}], "rules": {"caps": {"category": 1}}},
    "bright": {"retrievers": [{"source": "model"}], "needs": "items", "rules": {"filters": {"category": ["red"]}}},
    "nothing": {"retrievers": []},
    "shallow": {"retrievers": [{"source": "model"}, {"source": "trending", "weight": 0.5}], "depth": 2},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("surfaces") / "bundle"
    return write_bundle(folder, "vector", companions={"pairs": "neighbours", "trending": "static"}, surfaces=SURFACES)


@pytest.fixture(scope="module")
def engine(folder: Path) -> Engine:
    return Engine(Bundle.load(folder), clock=lambda: NOW)


def shown(answer: Answer) -> list[tuple[str, str]]:
    return [(item.id, item.reason) for item in answer.items]


def ask(engine: Engine, surface: str, **fields: Any) -> Answer:
    return engine.recommend([Request(**fields)], surface)[0]


def test_home_joins_the_model_and_what_is_trending(engine: Engine) -> None:
    # of A: B 6, C 3, and nothing of D and E; trending E, C, B, D. Reciprocal ranks, trending at half
    answer = ask(engine, "home", history=["A"], k=3)
    assert shown(answer) == [("B", "model"), ("C", "model"), ("E", "trending")]
    assert answer.items[0].score == pytest.approx(1 / 61 + 0.5 / 63, rel=1e-5)
    # who has no history still sees what is trending
    assert shown(ask(engine, "home", k=3)) == [("E", "trending"), ("C", "trending"), ("A", "trending")]


def test_no_answer_depends_on_what_else_is_asked(engine: Engine) -> None:
    histories = ["A"], ["B", "D"], [], ["Z"], ["E"]
    plain = [(name, {}) for name in ("home", "shallow", "one-each")]
    ordering = [("search", {"items": items}) for items in (["D"], ["E", "B", "A", "C"])]
    asked = [
        Asked(Request(history=list(history), k=k, now=NOW, **fields), surface)
        for history in histories
        for surface, fields in [*plain, *ordering]
        for k in (1, 3, 6)
    ]
    alone = [engine.answer([one])[0].answer for one in asked]
    assert [served.answer for served in engine.answer(asked)] == alone
    assert len({str(one) for one in alone}) > 40


def test_bought_together_is_the_items_own_row_then_its_category(engine: Engine) -> None:
    answer = ask(engine, "bought-together", item="A", k=4)
    assert shown(answer) == [("B", "pairs"), ("C", "pairs"), ("D", "popular"), ("E", "popular")]
    assert answer.fallback is None
    answer = ask(engine, "bought-together", item="E", k=2)
    assert shown(answer) == [("D", "popular in category"), ("B", "popular")]
    assert answer.fallback == "the model has no opinion"


def test_the_cart_speaks_with_all_its_items_and_none_comes_back(engine: Engine) -> None:
    assert shown(ask(engine, "cart", cart=["A", "D"], k=2)) == [("E", "pairs"), ("B", "pairs")]
    assert ask(engine, "cart", cart=["Z"], k=1).fallback == "unknown item"
    assert ask(engine, "cart", k=1).fallback == "empty cart"


def test_buy_again_shows_only_what_the_user_had(engine: Engine) -> None:
    assert [item.id for item in ask(engine, "buy-again", history=["A", "D"], k=5).items] == ["A", "D"]
    assert ask(engine, "buy-again", k=5).items == []


def test_kinds_that_do_not_count_are_no_part_of_the_history(engine: Engine) -> None:
    seen, bought = Event("A", "view", NOW), Event("B", "purchase", NOW - 60)
    answer = ask(engine, "buy-again", history=[bought, seen, Event("Z", "view", NOW)])
    # of B = (2, 0) alone; with A = (3, 0) it would score 10
    assert [(item.id, item.score) for item in answer.items] == [("B", 4)]
    assert answer.unknown_items == []
    answer = ask(engine, "buy-again", history=[seen, seen])
    assert (answer.items, answer.fallback) == ([], "empty history")
    assert ask(engine, "buy-again", history=[Event("A", "wish")]).unknown_events == ["wish"]
    assert [item.id for item in ask(engine, "buy-again", history=[seen, Event("C"), "B"]).items] == ["B", "C"]
    for surface in ("seen-again", "rated-again"):  # all kinds; kinds that the model does not know
        assert [item.id for item in ask(engine, surface, history=[bought, seen]).items] == ["A", "B"]


def test_what_the_bundle_does_not_know_stays_behind_its_neighbour_in_search(engine: Engine) -> None:
    items: list[str | Scored] = ["new", "B", "newer", "newest", "D", "last"]
    assert [item.id for item in ask(engine, "search", items=items).items] == items
    assert [item.id for item in ask(engine, "search", items=items, k=4).items] == items[:4]
    worth = {"B": 1.0, "last": 2.0, "D": 3.0, "new": 2.95, "C": 2.9}  # the user prefers C to D, see below
    scored: list[str | Scored] = [Scored(item, score) for item, score in worth.items()]
    found = [item.id for item in ask(engine, "search", history=["A"], items=scored).items]
    assert found == ["C", "last", "D", "new", "B"]
    ranked = ask(engine, "rank", history=["A"], items=["new", "D", "B"])
    assert [item.id for item in ranked.items] == ["B", "D", "new"]
    assert ranked.items[-1].reason == "unknown"


def test_what_the_model_may_not_recommend_is_ordered_last(engine: Engine) -> None:
    items: list[str | Scored] = ["new", "F", "D", "B"]  # F is no candidate
    for history, others in ((["A"], [("B", "model"), ("D", "model")]), ([], [("B", "popular"), ("D", "popular")])):
        ranked = ask(engine, "rank", history=history, items=items)
        assert shown(ranked) == [*others, ("F", "unknown"), ("new", "unknown")]
        assert (ranked.items[2].title, ranked.items[2].score) == ("Fig", 0)
    assert [item.id for item in ask(engine, "rank", items=items, k=3).items] == ["B", "D", "F"]
    assert ask(engine, "rank", items=["F"]).items[0].id == "F"
    for bounds in ({"exclude": ["F"]}, {"filters": Filters(price=PriceRange(min=10))}):
        assert "F" not in [item.id for item in ask(engine, "rank", items=items, **bounds).items]
    assert ask(engine, "rank", items=["F"], history=["F"], exclude_seen=True).items == []
    assert ask(engine, "seen-again", items=["F"], history=["A"]).items[0].id == "A"
    assert shown(ask(engine, "nothing", items=["F", "B"])) == [("B", "popular"), ("F", "unknown")]


def test_search_weighs_its_own_order_against_the_users(engine: Engine) -> None:
    items: list[str | Scored] = [Scored("D", 3.0), Scored("C", 2.9), Scored("B", 1.0)]
    assert [item.id for item in ask(engine, "search", items=items, k=3).items] == ["D", "C", "B"]
    # the engine's shares: D 1, C .95, B 0; the model's, of A: B 1, C .5, D 0, at half
    assert [item.id for item in ask(engine, "search", history=["A"], items=items).items] == ["C", "D", "B"]


@pytest.mark.parametrize(
    "scores",
    [
        (1_750_000_003, 1_750_000_002, 1_750_000_001),  # seconds: float32 has them 128 apart
        (3e-50, 2e-50, 1e-50),
        (1e39, 1e20, 1.0),
        (3e38, 1.0, -3e38),
        (1e300, 1.0, -1e300),
        (1.7e308, -1.6e308, -1.7e308),
        (1.0, 1.0, 1.0),
        (2.0, 2.0, 1.0),
        (None, None, None),
    ],
)
def test_the_order_given_holds_whatever_its_scores(engine: Engine, scores: tuple[float | None, ...]) -> None:
    items: list[str | Scored] = [Scored(item, score) for item, score in zip("EAC", scores, strict=True)]
    assert shown(ask(engine, "search", items=items)) == [("E", "given"), ("A", "given"), ("C", "given")]


@settings(deadline=None)
@given(st.permutations("ABCDEF"), st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=6, max_size=6))
def test_any_finite_scores_are_an_order(engine: Engine, items: list[str], scores: list[float]) -> None:
    best_first = sorted(zip(items, scores, strict=True), key=lambda pair: -pair[1])
    found = ask(engine, "search", items=[Scored(item, score) for item, score in zip(items, scores, strict=True)])
    assert [item.id for item in found.items] == [item for item, _ in best_first]


@pytest.mark.parametrize("surface", ["rank", "search"])
def test_exclusions_and_filters_hold_for_unknown_items_too(engine: Engine, surface: str) -> None:
    def found(**bounds: Any) -> list[str]:
        return [item.id for item in ask(engine, surface, items=["B", "new", "newer"], **bounds).items]

    assert found(exclude=["new", "nothing"]) == ["B", "newer"]
    for asked in (Filters(category=["red"]), Filters(brand=["y"]), Filters(price=PriceRange(max=20))):
        assert found(filters=asked) == ["B"]
    assert found(filters=Filters(category=[])) == []
    passed = Filters(not_category=["blue"], not_brand=["x"], available=True)
    assert found(filters=passed, now=NOW + 1) == ["B", "new", "newer"]


def test_an_item_given_twice_stands_where_it_came_first(engine: Engine) -> None:
    assert [item.id for item in ask(engine, "search", items=["E", "A", "new", "E", "new"]).items] == ["E", "A", "new"]
    scored: list[str | Scored] = [Scored("E", 1.0), Scored("A", 5.0), Scored("E", 9.0)]
    assert [item.id for item in ask(engine, "search", items=scored).items] == ["A", "E"]


def test_items_to_be_ordered_come_back_even_from_the_cart(engine: Engine) -> None:
    answer = ask(engine, "search", items=["D", "B"], item="D", cart=["B"])
    assert {item.id for item in answer.items} == {"D", "B"}


def test_a_new_users_likes_stand_for_a_history(engine: Engine) -> None:
    answer = ask(engine, "onboarding", liked=Liked(items=["A"]), k=2)
    assert shown(answer) == [("B", "model"), ("C", "model")]
    answer = ask(engine, "onboarding", liked=Liked(categories=["blue"]), k=2)
    assert [item.id for item in answer.items] == ["D", "E"]
    assert answer.fallback is None


def test_categories_liked_that_no_item_has_are_reported(engine: Engine) -> None:
    answer = ask(engine, "onboarding", liked=Liked(categories=["blue", "bleu", "bleu"]))
    assert answer.unknown_categories == ["bleu"]
    assert b'"unknown_categories":["bleu"]' in msgspec.json.encode(answer)
    assert b"unknown_categories" not in msgspec.json.encode(ask(engine, "onboarding", liked=Liked(categories=["blue"])))


@pytest.mark.parametrize("exclude_seen", [None, True])
def test_what_is_popular_in_a_category_liked_was_not_seen(engine: Engine, exclude_seen: bool | None) -> None:
    # D and E stand for the blue things: who names D, or had E, still gets the other
    for liked, history, best in ((["D"], [], "E"), ([], ["E"], "D")):
        likes = Liked(items=liked, categories=["blue"])
        answer = ask(engine, "onboarding", liked=likes, history=history, exclude_seen=exclude_seen, k=6)
        found = [item.id for item in answer.items]
        assert found[0] == best
        assert set(found) == {"A", "B", "C", best}
    answer = ask(engine, "seen-again", liked=Liked(items=["A"], categories=["blue"]))
    assert [item.id for item in answer.items] == ["A"]


def test_rules_of_a_surface_hold(engine: Engine) -> None:
    assert [item.category for item in ask(engine, "one-each", history=["A"], k=2).items] == ["red", "blue"]
    assert [item.id for item in ask(engine, "bright", items=["new", "D", "B"]).items] == ["B"]


def test_a_surface_without_retrievers_is_its_fallback(engine: Engine) -> None:
    assert shown(ask(engine, "nothing", k=2)) == [("B", "popular"), ("D", "popular")]
    assert shown(ask(engine, "nothing", item="E", k=2)) == [("D", "popular in category"), ("B", "popular")]


def test_one_call_answers_requests_to_several_surfaces(engine: Engine) -> None:
    asked = [Asked(Request(history=["A"], k=2), name) for name in ("home", "recommend", "one-each")]
    together = [served.answer for served in engine.answer(asked)]
    assert together == [engine.answer([one])[0].answer for one in asked]


def test_what_a_surface_needs_is_asked_for(engine: Engine) -> None:
    for surface, field in (("search", "items"), ("bought-together", "item"), ("onboarding", "liked")):
        with pytest.raises(RequestError, match=f"the surface '{surface}' needs `{field}`"):
            ask(engine, surface)
    with pytest.raises(UnknownSurfaceError, match="no surface 'window'"):
        ask(engine, "window")


class Broken:
    def best(self, _: Queries, __: Sequence[Bounds]) -> list[TopK]:
        raise RuntimeError("out of order")


def test_a_model_that_fails_is_replaced_and_named(folder: Path) -> None:
    engine = Engine(Bundle.load(folder), clock=lambda: NOW)
    engine.sources["model"] = Broken()
    answer = ask(engine, "recommend", history=["A"], k=2)
    assert (shown(answer), answer.fallback) == ([("B", "popular"), ("D", "popular")], "the model failed")
    answer = ask(engine, "home", history=["A"], k=2)
    assert (shown(answer), answer.fallback) == ([("E", "trending"), ("C", "trending")], "the model failed")


def test_after_the_deadline_only_the_fallback_speaks(folder: Path) -> None:
    engine = Engine(Bundle.load(folder), clock=lambda: NOW, timer=lambda: 10.0)
    late, early = (Asked(Request(history=["A"], k=1), "recommend", until) for until in (9.0, 11.0))
    answers = [served.answer for served in engine.answer([late, early])]
    assert [answer.fallback for answer in answers] == ["the deadline has passed", None]
    assert [shown(answer) for answer in answers] == [[("B", "popular")], [("B", "model")]]


def test_what_was_dismissed_fades_with_what_is_like_it(engine: Engine) -> None:
    # B and C point where A points; of A and D, with A dismissed, D's kin come first
    asked = Asked(Request(history=["A", "D"], k=3), "recommend", dismissed={"A": 1.0})
    assert engine.answer([asked])[0].answer.items[0].id == "E"


@pytest.mark.parametrize(
    ("surfaces", "says"),
    [
        ({"Home": {"retrievers": []}}, "'Home' is no name of a surface"),
        ({"events": {"retrievers": []}}, "no surface can be called 'events', /v1/events is another route"),
        ({"users": {"retrievers": []}}, "no surface can be called 'users'"),
        ({"home": {"retrievers": [{"source": "stars"}]}}, "home asks ['stars']; there are"),
        ({"home": {"retrievers": [], "depth": 0}}, "`int` >= 1 - at `$[...].depth`"),
        ({"home": {}}, "missing required field `retrievers`"),
    ],
)
def test_surfaces_that_cannot_be(tmp_path: Path, surfaces: dict[str, Any], says: str) -> None:
    with pytest.raises(BundleError) as raised:
        write_bundle(tmp_path / "bundle", "static", surfaces=surfaces)
    assert "surfaces.json: " in str(raised.value)
    assert says in str(raised.value)
