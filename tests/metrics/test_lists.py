import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_lab.metrics import lists

# Items 0 to 4: categories a a b b c, seen 3, 1, 0, 0, 4 times in training.
CATEGORIES = np.array([0, 0, 1, 1, 2], np.int32)
COUNTS = np.array([3, 1, 0, 0, 4])
EVERYTHING = np.ones(5, np.bool_)
SEVEN = np.array(
    [
        [0, 1, 2],  # a a b: 2 of 3 pairs differ
        [0, 2, 4],  # a b c: all differ
        [2, 3, -1],  # b b: the only pair is alike
        [1, 2, -1],  # a b: the only pair differs
        [4, -1, -1],  # no pair
        [-1, -1, -1],  # no item
        [3, 0, 2],  # b a b: 2 of 3 pairs differ, though the like ones stand apart
    ],
    np.int32,
)


def test_category_diversity_by_hand() -> None:
    expected = [2 / 3, 1, 0, 1, np.nan, np.nan, 2 / 3]
    np.testing.assert_allclose(lists.category_diversity(SEVEN, CATEGORIES), expected)


def test_content_diversity_by_hand() -> None:
    """Items 0 and 1 point the same way, 2 at a right angle, 3 halfway, 4 nowhere."""
    vectors = np.array([[2, 0], [1, 0], [0, 3], [1, 1], [0, 0]], np.float32)
    half = np.sqrt(0.5)
    expected = [1 - 1 / 3, 1, 1 - half, 1, np.nan, np.nan, 1 - 2 * half / 3]
    np.testing.assert_allclose(lists.content_diversity(SEVEN, vectors), expected, atol=1e-6)


def test_novelty_by_hand() -> None:
    """p = (count + 1) / (8 + 5), so item 0 carries log2 13 - 2 bits, item 1 log2 13 - 1 …"""
    bits = np.log2(13) - np.log2([4, 2, 1, 1, 5])
    expected = [bits[[0, 1, 2]].mean(), bits[[0, 2, 4]].mean(), bits[2], bits[[1, 2]].mean(), bits[4], np.nan]
    np.testing.assert_allclose(lists.novelty(SEVEN[:6], COUNTS), expected)


def test_mean_popularity_by_hand() -> None:
    np.testing.assert_allclose(lists.mean_popularity(SEVEN, COUNTS), [4 / 3, 7 / 3, 0, 0.5, 4, np.nan, 1])


def test_coverage_by_hand() -> None:
    assert lists.coverage(SEVEN[2:4], EVERYTHING) == pytest.approx(3 / 5)
    only_three = np.array([True, True, False, False, True])
    assert lists.coverage(SEVEN[2:4], only_three) == pytest.approx(1 / 3)


def test_gini_by_hand() -> None:
    everyone_alike = np.array([[0, 1], [2, 3]], np.int32)
    assert lists.gini(everyone_alike, np.ones(4, np.bool_)) == 0
    one_for_all = np.array([[3], [3]], np.int32)
    assert lists.gini(one_for_all, np.ones(4, np.bool_)) == pytest.approx(3 / 4)
    # Shown 0, 1, 2 times: (-2 · 0 + 0 · 1 + 2 · 2) / (3 · 3)
    assert lists.gini(np.array([[1, 2], [2, -1]], np.int32), np.ones(3, np.bool_)) == pytest.approx(4 / 9)


def test_gini_and_coverage_of_nothing() -> None:
    assert np.isnan(lists.gini(np.full((2, 3), -1, np.int32), EVERYTHING))
    assert lists.coverage(np.full((2, 3), -1, np.int32), EVERYTHING) == 0
    assert np.isnan(lists.coverage(SEVEN, np.zeros(5, np.bool_)))


shown = st.lists(st.lists(st.integers(0, 9), unique=True, max_size=6), min_size=1, max_size=8).map(
    lambda rows: np.array([row + [-1] * (6 - len(row)) for row in rows], np.int32)
)


@given(shown, st.integers(0, 99))
def test_diversity_equals_the_mean_over_pairs(items: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(10, 3)).astype(np.float32)
    categories = rng.integers(0, 3, 10).astype(np.int32)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for row, content, category in zip(
        items, lists.content_diversity(items, vectors), lists.category_diversity(items, categories), strict=True
    ):
        present = row[row >= 0]
        pairs = [(a, b) for place, a in enumerate(present) for b in present[:place]]
        if pairs:
            assert content == pytest.approx(np.mean([1 - units[a] @ units[b] for a, b in pairs]), abs=1e-5)
            assert category == pytest.approx(np.mean([categories[a] != categories[b] for a, b in pairs]))
        else:
            assert np.isnan(content)
            assert np.isnan(category)


@given(shown)
def test_bounds(items: np.ndarray) -> None:
    assert 0 <= lists.coverage(items, np.ones(10, np.bool_)) <= 1
    exposure = lists.gini(items, np.ones(10, np.bool_))
    assert np.isnan(exposure) or 0 <= exposure <= 0.9 + 1e-12


def test_a_popular_list_is_less_novel() -> None:
    order = np.argsort(-COUNTS, kind="stable")[:, None].astype(np.int32)
    assert (np.diff(lists.novelty(order, COUNTS)) >= 0).all()
    assert (np.diff(lists.mean_popularity(order, COUNTS)) <= 0).all()
