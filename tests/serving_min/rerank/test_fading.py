from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving_min.rerank.fading import faded
from tests.serving_min.rerank.shelf import facts, found

NEARLY = [0.95, (1 - 0.95**2) ** 0.5]  # of the direction of [1, 0]
VECTORS = [[2, 0], NEARLY, [1, 1], [0, 3], [0, 0]]
TITLES = ["Red mug, small", "red mug, LARGE", "Red mug, small one", "Red mug, small", None]
SHELVES = ["cup", "cup", "cup", "toy", "cup"]
SCORES = [10.0, 8.0, 6.0, 4.0, 0.0]


def scores(dismissed: dict[int, float], filled: int = 0, **known: object) -> list[float]:
    done = faded(found(range(5), SCORES, filled=filled), dismissed, facts(5, **known))
    assert done.codes.tolist() == [0, 1, 2, 3, 4]
    return [round(score, 4) for score in done.scores.tolist()]


def test_an_item_falls_to_the_last_place_and_takes_what_is_nearly_the_same_along() -> None:
    assert scores({0: 1.0}, vectors=VECTORS) == [0.0, -1.5, 6.0, 4.0, 0.0]
    assert scores({0: 0.25}, vectors=VECTORS) == [7.5, 5.625, 6.0, 4.0, 0.0], "it comes back with time"
    assert scores({3: 1.0, 0: 0.5}, vectors=VECTORS) == [5.0, 3.25, 6.0, -6.0, 0.0]


def test_an_item_without_a_vector_fades_alone() -> None:
    assert scores({4: 1.0}, vectors=VECTORS) == [10.0, 8.0, 6.0, 4.0, -10.0]


def test_without_vectors_titles_of_one_category_tell() -> None:
    # 2 of 4 words with item 1, 3 of 4 with item 2; item 3 is on another shelf
    assert scores({0: 1.0}, title=TITLES, category=SHELVES) == [0.0, 8.0, -1.5, 4.0, 0.0]
    assert scores({4: 1.0}, title=TITLES, category=SHELVES) == [10.0, 8.0, 6.0, 4.0, -10.0]
    assert scores({0: 1.0}) == [0.0, 8.0, 6.0, 4.0, 0.0]


def test_what_the_fallback_filled_in_is_measured_apart() -> None:
    assert scores({4: 0.5, 0: 0.5}, filled=2) == [8.0, 8.0, 6.0, 4.0, -2.0]


@pytest.mark.parametrize("dismissed", [{}, {3: 1.0}])
def test_nothing_to_fade(dismissed: dict[int, float]) -> None:
    nobody = found([])
    assert len(faded(nobody, dismissed, facts(5, vectors=VECTORS))) == 0
    some = found([0, 2], [2.0, 1.0])
    assert faded(some, dismissed, facts(5, vectors=VECTORS)).scores.tolist() == [2.0, 1.0]


@given(st.dictionaries(st.integers(0, 4), st.floats(0, 1)), st.lists(st.floats(-5, 5), min_size=5, max_size=5))
def test_nothing_ever_gains(dismissed: dict[int, float], given_scores: list[float]) -> None:
    before = found(range(5), given_scores)
    after = faded(before, dismissed, facts(5, vectors=VECTORS))
    assert (after.scores <= before.scores + 1e-6).all()
    assert np.isfinite(after.scores).all()
