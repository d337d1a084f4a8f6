"""What holds for every list, whatever the rules; and what caps, pins and filters do."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving_min.bounds import Bounds
from serving_min.errors import BundleError
from serving_min.messages import Filters
from serving_min.rerank.found import Found
from serving_min.rerank.reranker import WIDE, Reranker
from serving_min.rules import Boost, Calibrated, Caps, Dpp, Exploration, Mmr, Pin, Rules, Weights
from tests.serving_min.rerank.shelf import DAY, NOBODY, NOW, anything, facts, found

SIZE = 24
COLORS = [None if code % 11 == 10 else "abcd"[code % 4] for code in range(SIZE)]
BRANDS = [None if code % 7 == 6 else "xyz"[code % 3] for code in range(SIZE)]
VECTORS = np.random.default_rng(3).normal(size=(SIZE, 3))
SHELF = facts(
    SIZE,
    vectors=VECTORS,
    popularity=np.arange(SIZE),
    category=COLORS,
    brand=BRANDS,
    margin=[float(code % 5) for code in range(SIZE)],
    available_from=[NOW - code * DAY for code in range(SIZE)],
)
ORDER = np.random.default_rng(4).permutation(SIZE)  # of the model, best first

mixes = st.sampled_from([0.0, 0.3, 0.9, 1.0])
caps = st.integers(1, 3) | st.none()
many_rules = st.builds(
    Rules,
    filters=st.sampled_from([Filters(), Filters(not_category=["a"]), Filters(brand=["x", "y"])]),
    boosts=st.sampled_from(
        [(), (Boost(brand="z", factor=3.0), Boost(item="5", add=0.5), Boost(category="b", add=-1.0))]
    ),
    weights=st.sampled_from([Weights(), Weights(margin=0.5)]),
    variety=st.none() | st.builds(Mmr, mix=mixes) | st.builds(Dpp, mix=mixes) | st.builds(Calibrated, mix=mixes),
    caps=st.builds(Caps, category=caps, brand=caps),
    pins=st.lists(st.tuples(st.integers(0, SIZE), st.integers(1, 8)), max_size=3).map(
        lambda pairs: tuple(
            Pin(item=str(item), position=place)
            for place, item in {place: item for item, place in dict(pairs).items()}.items()
        )
    ),
    exploration=st.none() | st.builds(Exploration, share=mixes, days=st.just(5.0), popularity_below=st.just(9.0)),
    depth=st.integers(1, 12),
)
barred_codes = st.lists(st.integers(0, SIZE - 1), max_size=6).map(lambda codes: np.unique(codes).astype(np.int32))


def retrieve(bounds: Bounds) -> Found:
    """The first k of ORDER inside the bounds; the second half of it comes from the fallback."""
    inside = set(np.arange(SIZE)[bounds.within(np.arange(SIZE, dtype=np.int32))].tolist())
    listed = [code for code in ORDER.tolist() if code in inside][: bounds.k]
    return found(listed, filled=sum(ORDER.tolist().index(code) >= SIZE // 2 for code in listed))


@settings(max_examples=300, deadline=None)
@given(
    rules=many_rules,
    k=st.integers(1, 10),
    barred=barred_codes,
    seed=st.integers(0, 99),
    wide=st.sampled_from([1, WIDE]),
)
def test_every_list_keeps_within_bounds(rules: Rules, k: int, barred: np.ndarray, seed: int, wide: int) -> None:
    bounds = Bounds(k, barred)
    reranker = Reranker(rules, SHELF, wide=wide)
    asked = reranker.asks(bounds, NOW)
    first = retrieve(asked)
    ranked = reranker.rank(first, asked, k, now=NOW, seed=seed, history=np.array([0, 1, 4], np.int32), more=retrieve)
    by_fallback = [reason == "popular" for reason in ranked.reasons if reason in ("model", "popular")]
    assert by_fallback == sorted(by_fallback)
    codes = ranked.codes.tolist()
    assert len(set(codes)) == len(codes) == len(ranked.scores) == len(ranked.reasons) == len(ranked.propensity)
    allowed = SHELF.items.allowed(rules.filters, NOW)
    inside = {code for code in range(SIZE) if code not in barred and (allowed is None or allowed[code])}
    assert set(codes) <= inside
    for names, most in ((COLORS, rules.caps.category), (BRANDS, rules.caps.brand)):
        counts = Counter(names[code] for code in codes if names[code] is not None)
        assert most is None or max(counts.values(), default=0) <= most
    assert ((ranked.propensity > 0) & (ranked.propensity <= 1)).all()
    if len(codes) < k and rules.exploration is None:  # then whatever is left has no room
        for code in inside - set(codes):
            full = [
                most is not None and sum(names[other] == names[code] for other in codes) >= most
                for names, most in ((COLORS, rules.caps.category), (BRANDS, rules.caps.brand))
            ]
            assert any(full)
    if rules.caps == Caps():
        for pin in rules.pins:
            if pin.item.isdigit() and int(pin.item) in inside and pin.position <= len(codes):
                assert codes[pin.position - 1] == int(pin.item)
                assert ranked.reasons[pin.position - 1] == "pinned"


@settings(deadline=None)
@given(variety=st.sampled_from([Mmr(1.0), Dpp(1.0), Calibrated(1.0)]), k=st.integers(1, 10))
def test_scores_alone_are_the_identity(variety: Any, k: int) -> None:
    reranker = Reranker(Rules(variety=variety), SHELF)
    first = retrieve(anything(20))
    ranked = reranker.rank(first, anything(20), k, now=NOW, history=np.array([3], np.int32))
    assert ranked.codes.tolist() == first.codes[:k].tolist()
    assert ranked.scores.tolist() == first.scores[:k].tolist()
    assert ranked.reasons == list(first.reasons[:k])


def test_no_rules_leave_the_list_as_it_is() -> None:
    rules = Rules()
    assert rules.idle
    reranker = Reranker(rules, SHELF)
    asked = reranker.asks(anything(5), NOW)
    assert asked == anything(5)
    assert reranker.rank(retrieve(asked), asked, 5, now=NOW).codes.tolist() == ORDER[:5].tolist()


def test_a_cap_that_closes_all_that_was_found_asks_for_more() -> None:
    shelf = facts(1000, category=["a"] * 990 + ["b", "c"] * 5)
    reranker = Reranker(Rules(caps=Caps(category=2), depth=50), shelf)
    asks = []

    def best(bounds: Bounds) -> Found:
        asks.append(bounds)
        codes = np.flatnonzero(bounds.within(np.arange(1000, dtype=np.int32)))[: bounds.k]
        return found(codes.tolist(), (1 - codes / 1000).tolist())

    asked = reranker.asks(anything(6), NOW)
    ranked = reranker.rank(best(asked), asked, 6, now=NOW, more=best)
    assert ranked.codes.tolist() == [0, 1, 990, 991, 992, 993]
    assert len(asks) == 2, "the full category is left out of the second search, so that one more is enough"
    assert len(reranker.rank(best(asked), asked, 6, now=NOW)) == 2, "nobody to ask"


def test_a_cap_over_many_large_categories_needs_few_searches() -> None:
    shelf = facts(10_000, category=[f"c{code // 200}" for code in range(10_000)])
    reranker = Reranker(Rules(caps=Caps(category=1), depth=50), shelf)
    depths = []

    def best(bounds: Bounds) -> Found:
        depths.append(bounds.k)
        codes = np.flatnonzero(bounds.within(np.arange(10_000, dtype=np.int32)))[: bounds.k]
        return found(codes.tolist(), (1 - codes / 10_000).tolist())

    asked = reranker.asks(anything(10), NOW)
    ranked = reranker.rank(best(asked), asked, 10, now=NOW, more=best)
    assert ranked.codes.tolist() == list(range(0, 2000, 200))
    assert depths == [50, 200, 800, 3200]


@pytest.mark.parametrize("variety", [Mmr(0.5), Dpp(0.5), Calibrated(0.5)])
def test_variety_looks_at_a_choice_of_what_caps_leave_where_they_look_far(variety: Any) -> None:
    """300 categories of 100 items each, one after the other by score: all of them have to be fetched."""
    size, seen = 30_000, []
    vectors = np.random.default_rng(5).normal(size=(size, 4)).astype(np.float32)

    def rows(codes: np.ndarray) -> np.ndarray:
        seen.append(len(codes))
        return vectors[codes]

    shelf = replace(facts(size, category=[f"c{code // 100}" for code in range(size)]), vectors=rows)
    reranker = Reranker(Rules(variety=variety, caps=Caps(category=1)), shelf)

    def best(bounds: Bounds) -> Found:
        codes = np.flatnonzero(bounds.within(np.arange(size, dtype=np.int32)))[: bounds.k]
        return found(codes.tolist(), (1 - codes / size).tolist())

    asked = reranker.asks(anything(200), NOW)
    codes = reranker.rank(best(asked), asked, 200, now=NOW, history=np.array([0, 999], np.int32), more=best).codes
    assert len({code // 100 for code in codes.tolist()}) == 200
    assert not any(code % 100 > 4 for code in codes.tolist()), "five of each for one place"
    assert max(seen, default=0) <= WIDE


def test_a_pin_of_another_day_or_of_an_item_that_may_not_be_there_is_left_out() -> None:
    today = datetime.fromtimestamp(NOW, UTC).date()
    pins = (
        Pin(item="9", position=1, since=today, until=today),
        Pin(item="8", position=2, until=today - timedelta(days=1)),
        Pin(item="7", position=3),
        Pin(item="stranger", position=4),
    )
    reranker = Reranker(Rules(pins=pins), SHELF)
    bounds = Bounds(4, np.array([7], np.int32))
    assert reranker.rank(found([0, 1, 2, 3]), bounds, 4, now=NOW).codes.tolist() == [9, 0, 1, 2]
    assert reranker.rank(found([0, 1, 2, 3]), bounds, 4, now=NOW + DAY - 1).codes[0] == 9
    assert reranker.rank(found([0, 1, 2, 3]), bounds, 4, now=NOW + DAY).codes[0] == 0


def test_a_pinned_item_that_was_found_moves() -> None:
    reranker = Reranker(Rules(pins=(Pin(item="3", position=2),)), SHELF)
    ranked = reranker.rank(found([0, 1, 2, 3]), anything(4), 4, now=NOW)
    assert ranked.codes.tolist() == [0, 3, 1, 2]
    assert ranked.reasons == ["model", "pinned", "model", "model"]


def test_a_pin_counts_to_the_cap_and_has_the_first_claim() -> None:
    pins = (Pin(item="4", position=3), Pin(item="8", position=4))  # 0, 4 and 8 are of one category
    reranker = Reranker(Rules(pins=pins, caps=Caps(category=1)), SHELF)
    assert reranker.rank(found([0, 1, 2, 3]), anything(4), 4, now=NOW).codes.tolist() == [1, 2, 4, 3]


def test_what_the_fallback_filled_comes_after_the_rest() -> None:
    reranker = Reranker(Rules(variety=Mmr(0.1), boosts=(Boost(item="5", factor=9.0),)), SHELF)
    ranked = reranker.rank(found([0, 4, 8, 5, 6], [0.1, 0.09, 0.08, 70.0, 60.0], filled=2), anything(5), 5, now=NOW)
    assert set(ranked.codes[:3].tolist()) == {0, 4, 8}
    assert ranked.filled.tolist() == [False] * 3 + [True] * 2


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (Rules(caps=Caps(brand=1)), "caps.brand"),
        (Rules(weights=Weights(stock=1)), "weights.stock"),
        (Rules(boosts=(Boost(category="a", factor=2.0),)), "boosts.category"),
        (Rules(variety=Mmr()), "variety"),
        (Rules(exploration=Exploration(share=0.1, days=3)), "exploration.days"),
        (Rules(filters=Filters(market="DE")), "filters.market"),
    ],
)
def test_rules_about_what_items_do_not_have_are_refused(rules: Rules, said: str) -> None:
    with pytest.raises(BundleError, match=said):
        Reranker(rules, facts(3))


def test_nothing_found_is_an_empty_list() -> None:
    for variety in (None, Mmr(), Dpp(), Calibrated()):
        assert len(Reranker(Rules(variety=variety), SHELF).rank(found([]), Bounds(3, NOBODY), 3, now=NOW)) == 0


def test_what_a_further_look_finds_fades_too() -> None:
    shelf = facts(4, category=["a", "a", "b", "c"])
    reranker = Reranker(Rules(caps=Caps(category=1), depth=2), shelf)

    def best(bounds: Bounds) -> Found:
        codes = np.flatnonzero(bounds.within(np.arange(4, dtype=np.int32)))[: bounds.k]
        return found(codes.tolist(), (4.0 - codes).tolist())

    asked = reranker.asks(Bounds(3, NOBODY), NOW)
    ranked = reranker.rank(best(Bounds(2, NOBODY)), asked, 3, now=NOW, dismissed={2: 1.0}, more=best)
    assert ranked.codes.tolist() == [0, 3, 2]
    assert ranked.scores.tolist() == [4.0, 1.0, -1.0]
