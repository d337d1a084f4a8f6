"""New items by lot: how many, which, and how likely each was."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving_min.bounds import Bounds
from serving_min.rerank.exploration import Explorer, seed_of
from serving_min.rerank.found import Ranked
from serving_min.rerank.reranker import Reranker
from serving_min.rules import Caps, Exploration, Pin, Rules
from tests.serving_min.rerank.shelf import DAY, NOBODY, NOW, facts, found

SIZE = 30  # items 20 to 29 came on the last ten days, 29 today
SHELF = facts(
    SIZE,
    popularity=[float(SIZE - code) for code in range(SIZE)],
    available_from=[NOW - (29 - code) * DAY if code >= 20 else 0 for code in range(SIZE)],
    category=["abc"[code % 3] for code in range(SIZE)],
)


def ranked(rules: Rules, seed: int, k: int = 10, barred: list[int] | None = None) -> Ranked:
    reranker = Reranker(rules, SHELF)
    bounds = Bounds(k, np.array(barred or [], np.int32))
    codes = [code for code in range(20) if code not in bounds.barred]
    return reranker.rank(found(codes), bounds, k, now=NOW, seed=seed)


def test_what_is_new() -> None:
    def new(now: int = NOW, **rule: float) -> list[int]:
        return Explorer(Exploration(share=0.1, **rule), SHELF, {}).new(now).tolist()

    assert new(days=3) == [27, 28, 29]
    assert new(popularity_below=3) == [28, 29]
    assert new(days=1.5, popularity_below=5) == [26, 27, 28, 29]
    assert new(days=3, now=NOW - DAY) == [26, 27, 28], "what is not yet on sale is not new"
    assert new(popularity_below=3, now=NOW - DAY) == [28]


def test_the_lowest_places_go_to_new_items_with_known_propensity() -> None:
    answer = ranked(Rules(exploration=Exploration(share=0.3, days=5)), seed=1)
    assert answer.codes[:7].tolist() == list(range(7))
    assert set(answer.codes[7:].tolist()) <= {25, 26, 27, 28, 29}
    assert answer.reasons == ["model"] * 7 + ["new"] * 3
    assert answer.propensity.tolist() == [1.0] * 7 + [1 / 3, 1 / 4, 1 / 5], "drawn from the last place upwards"


def test_as_often_as_the_propensity_says() -> None:
    rules = Rules(exploration=Exploration(share=0.1, days=5))
    drawn = Counter(int(ranked(rules, seed_of(f"request {number}")).codes[9]) for number in range(600))
    assert set(drawn) == {25, 26, 27, 28, 29}
    assert all(abs(count - 120) < 5 * np.sqrt(600 * 0.2 * 0.8) for count in drawn.values())


def test_empty_places_are_filled_before_anything_gives_way() -> None:
    reranker = Reranker(Rules(exploration=Exploration(share=0.5, days=5)), SHELF)
    for size in (2, 3):
        answer = reranker.rank(found(range(size)), Bounds(4, NOBODY), 4, now=NOW)
        assert answer.codes[:2].tolist() == [0, 1]
        assert answer.reasons == ["model"] * 2 + ["new"] * 2
        assert set(answer.propensity[2:].tolist()) == {1 / 5, 1 / 4}
    assert reranker.rank(found([]), Bounds(4, NOBODY), 4, now=NOW).reasons == ["new"] * 2


def test_what_was_dismissed_is_not_drawn_nor_what_is_nearly_the_same() -> None:
    vectors = [[1.0, 0.0]] * 8 + [[0.0, 1.0], [1.0, 1.0]]
    shelf = facts(10, vectors=vectors, available_from=[0] * 6 + [NOW] * 4)
    reranker = Reranker(Rules(exploration=Exploration(share=0.5, days=5)), shelf)

    def drawn(dismissed: dict[int, float]) -> tuple[set[int], set[float]]:
        lists = [
            reranker.rank(found([0, 1]), Bounds(2, NOBODY), 2, now=NOW, seed=seed, dismissed=dismissed)
            for seed in range(60)
        ]
        return {int(one.codes[1]) for one in lists}, {float(one.propensity[1]) for one in lists}

    assert drawn({}) == ({6, 7, 8, 9}, {1 / 4})
    assert drawn({6: 1.0}) == ({8, 9}, {1 / 2})
    assert drawn({6: 0.4, 8: 0.9}) == ({6, 7, 9}, {1 / 3}), "after more than a week it may come again"


def test_the_same_request_draws_the_same() -> None:
    rules = Rules(exploration=Exploration(share=0.5, days=9))
    one, two, three = (ranked(rules, seed_of(name)).codes.tolist() for name in ("a", "a", "b"))
    assert one == two != three


def test_new_items_that_are_there_already_count() -> None:
    reranker = Reranker(Rules(exploration=Exploration(share=0.4, days=5)), SHELF)
    answer = reranker.rank(found([25, 1, 26, 3, 4]), Bounds(5, NOBODY), 5, now=NOW)
    assert answer.codes.tolist() == [25, 1, 26, 3, 4]


def test_barred_and_pinned_items_are_not_touched() -> None:
    rules = Rules(exploration=Exploration(share=0.2, days=3), pins=(Pin(item="5", position=10),))
    answer = ranked(rules, seed=3, barred=[28])
    assert answer.codes[9] == 5
    assert set(answer.codes[7:9].tolist()) == {27, 29}
    assert answer.propensity[7:].tolist() == [1, 1 / 2, 1]


@settings(deadline=None)
@given(seed=st.integers(0, 1000), share=st.sampled_from([0.2, 0.5, 1.0]))
def test_caps_hold_for_what_is_drawn(seed: int, share: float) -> None:
    answer = ranked(Rules(exploration=Exploration(share=share, days=9), caps=Caps(category=2)), seed, k=6)
    assert max(Counter((answer.codes % 3).tolist()).values()) <= 2
    assert (answer.codes >= 20).sum() == np.ceil(share * 6)
    assert ((answer.propensity == 1) == (answer.codes < 20))[answer.codes < 20].all()


def test_no_new_item_leaves_the_list_as_it_is() -> None:
    assert ranked(Rules(exploration=Exploration(share=1, popularity_below=0.5)), 0).codes.tolist() == list(range(10))


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.01, 1), (0.1, 1), (0.11, 2), (1.0, 10)])
def test_at_least_the_share(share: float, count: int) -> None:
    answer = ranked(Rules(exploration=Exploration(share=share, days=20)), 0)
    assert answer.reasons.count("new") == count
