from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from serving_min.bounds import Bounds, best_of, no_opinion
from serving_min.rerank import fill, top_k

codes = st.lists(st.integers(0, 19), unique=True).map(lambda values: np.array(sorted(values), np.int32))


@settings(deadline=None)
@given(codes=codes, barred=st.lists(st.integers(0, 19)), allowed=st.none() | st.lists(st.booleans(), min_size=20))
def test_within(codes: np.ndarray, barred: list[int], allowed: list[bool] | None) -> None:
    mask = None if allowed is None else np.array(allowed)
    inside = Bounds(3, np.array(barred, np.int32), mask).within(codes)
    assert inside.tolist() == [code not in barred and (allowed is None or allowed[code]) for code in codes]


few = st.none() | st.lists(st.integers(0, 499), unique=True, max_size=6).map(sorted)


@settings(deadline=None)
@given(
    codes=st.sets(st.integers(0, 499), max_size=60).map(sorted),
    barred=st.lists(st.integers(0, 499), max_size=5),
    allowed=few,
    among=few,
)
def test_places_of_few_and_of_many(
    codes: list[int], barred: list[int], allowed: list[int] | None, among: list[int] | None
) -> None:
    """Up to 4 of 500 allowed are looked for one by one, from 5 on all codes are asked."""
    mask = None if allowed is None else np.isin(np.arange(500), allowed)
    bounds = Bounds(3, np.array(barred, np.int32), mask, None if among is None else np.array(among, np.int32))
    inside = [code for code in codes if code not in barred]
    inside = [code for code in inside if (allowed is None or code in allowed) and (among is None or code in among)]
    assert [codes[place] for place in bounds.places(np.array(codes, np.int32))] == inside


@settings(deadline=None)
@given(codes=codes, k=st.integers(1, 25), data=st.data())
def test_best_of_is_top_k_of_the_whole_row(codes: np.ndarray, k: int, data: st.DataObject) -> None:
    levels = st.sampled_from([-1.0, 0.0, 0.5, 2.0])  # few of them, so that many tie
    scores = np.array(data.draw(st.lists(levels, min_size=len(codes), max_size=len(codes))), np.float32)
    row = np.full((1, 20), -np.inf, np.float32)
    row[0, codes] = scores
    expected, best = top_k(row, k), best_of(codes, scores, k)
    assert best.items.tolist() == expected.items.tolist()
    assert best.scores.tolist() == expected.scores.tolist()


def test_no_opinion_is_filled_like_an_empty_list() -> None:
    filled = fill(
        no_opinion(3), np.array([2, 0, 1], np.int32), np.array([9, 5, 4], np.float32), [np.array([0], np.int32)]
    )
    assert filled.items.tolist() == [[2, 1, -1]]
    assert filled.scores.tolist() == [[9, 4, -np.inf]]
    assert filled.filled.tolist() == [[True, True, False]]
