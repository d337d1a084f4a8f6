"""Which lists count as the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from recsys_lab.export.ties import equal_up_to_ties, recall, worst_difference
from serving_min.rerank import TopK, top_k

Part = list[tuple[int, float]]


def one(model: Part, filled: Part = [], k: int | None = None) -> TopK:  # noqa: B006 - read only
    """One list: the model's places, the filled ones, and blanks up to ``k``."""
    places = model + filled
    blanks = (k or len(places)) - len(places)
    return TopK(
        np.array([[item for item, _ in places] + [-1] * blanks], np.int32),
        np.array([[score for _, score in places] + [-np.inf] * blanks], np.float32),
        np.array([[False] * len(model) + [True] * len(filled) + [False] * blanks]),
    )


SAME = {
    "identical": (one([(7, 3.0), (8, 2.0)]), one([(7, 3.0), (8, 2.0)])),
    "rounding": (one([(7, 3.0), (8, 2.0)]), one([(7, 3.00001), (8, 1.99999)])),
    "a tie in another order": (one([(7, 3.0), (8, 3.0), (9, 1.0)]), one([(8, 3.0), (7, 3.0), (9, 1.0)])),
    "a near tie in another order": (one([(7, 3.00001), (8, 3.0), (9, 1)]), one([(8, 3.00001), (7, 3.0), (9, 1)])),
    "a group of ties that the end cuts": (one([(7, 3.0), (8, 1.0)]), one([(7, 3.0), (9, 1.0)])),
    "small scores tie on the scale of the list": (one([(7, 100.0), (8, 1e-4)]), one([(7, 100.0), (8, 0.0)])),
    "blanks at the end": (one([(7, 3.0)], k=3), one([(7, 3.0)], k=3)),
    "filled": (one([(7, 3.0)], [(1, 9.0)]), one([(7, 3.0)], [(1, 9.0)])),
}
DIFFERENT = {
    "another item": (one([(7, 3.0), (8, 2.0), (9, 1.0)]), one([(7, 3.0), (6, 2.0), (9, 1.0)])),
    "another order": (one([(7, 3.0), (8, 2.0)]), one([(8, 3.0), (7, 2.0)])),
    "another score": (one([(7, 3.0), (8, 2.0)]), one([(7, 3.0), (8, 2.001)])),
    "a last item that does not tie": (one([(7, 3.0), (8, 1.0)]), one([(7, 3.0), (9, 1.1)])),
    "a tie before blanks is not cut": (one([(7, 3.0), (8, 1.0)], k=3), one([(7, 3.0), (9, 1.0)], k=3)),
    "a tie before filled places is not cut": (one([(7, 3.0)], [(1, 9.0)]), one([(8, 3.0)], [(1, 9.0)])),
    "fewer items": (one([(7, 3.0)], k=2), one([(7, 3.0), (8, 2.0)])),
    "filled instead of meant": (one([(7, 3.0)], [(1, 2.0)]), one([(7, 3.0), (1, 2.0)])),
    "the same item twice": (one([(7, 3.0), (8, 3.0)]), one([(7, 3.0), (7, 3.0)])),
    "no number": (one([(7, 3.0)]), one([(7, np.nan)])),
}


@pytest.mark.parametrize("name", SAME)
def test_the_same(name: str) -> None:
    a, b = SAME[name]
    assert equal_up_to_ties(a, b).tolist() == [True]
    assert equal_up_to_ties(b, a).tolist() == [True]


@pytest.mark.parametrize("name", DIFFERENT)
def test_not_the_same(name: str) -> None:
    a, b = DIFFERENT[name]
    assert equal_up_to_ties(a, b).tolist() == [False]
    assert equal_up_to_ties(b, a).tolist() == [False]


scores = arrays.arrays(np.float32, (3, 12), elements=st.integers(1, 9).map(float))


@given(scores, st.permutations(range(12)), st.integers(1, 14), st.integers(0, 2**32 - 1))
def test_breaking_ties_otherwise_and_rounding_otherwise_changes_nothing(
    table: np.ndarray, other_order: list[int], k: int, seed: int
) -> None:
    noise = np.random.default_rng(seed).uniform(-1e-7, 1e-7, table.shape).astype(np.float32)
    shuffled = top_k((table + noise)[:, other_order], k)
    codes = np.array(other_order, np.int32)
    back = TopK(np.where(shuffled.items < 0, -1, codes[shuffled.items]), shuffled.scores, shuffled.filled)
    assert equal_up_to_ties(top_k(table, k), back).all()


@given(scores, st.integers(1, 12), st.integers(0, 11), st.integers(1, 4))
def test_a_changed_score_within_the_list_is_noticed(table: np.ndarray, k: int, item: int, step: int) -> None:
    changed = table.copy()
    changed[:, item] += step + 0.5  # so that it ties with nothing
    before, after = top_k(table, k), top_k(changed, k)
    listed = (after.items == item).any(axis=1)
    assert not equal_up_to_ties(before, after)[listed].any()


def test_what_ties_with_the_end_of_both_lists_is_found() -> None:
    wanted = one([(3, 2.0), (1, 1.0)])
    assert recall(wanted, one([(3, 2.0), (7, 1.0)])) == 1.0
    assert recall(wanted, one([(3, 2.0), (7, 0.9)])) == 0.5, "worse"
    assert recall(wanted, one([(7, 2.0), (1, 1.0)])) == 0.5, "not at the end"


def test_recall_counts_the_model_s_items_only() -> None:
    wanted = one([(7, 3.0), (8, 2.0)], [(1, 9.0)])
    assert recall(wanted, one([(8, 2.0), (1, 1.0), (2, 0.5)])) == 0.5
    assert recall(one([], [(1, 9.0)]), one([(3, 1.0)])) == 1.0


def test_worst_difference_is_relative_to_the_largest_score_and_goes_by_item() -> None:
    a, b = one([(7, 4.0), (8, 2.0)]), one([(8, 3.0), (9, 2.5)])
    assert worst_difference(a, b) == pytest.approx(0.25)
    assert worst_difference(a, one([(1, 1.0), (2, 0.5)])) == 0.0


def test_lists_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="do not compare"):
        equal_up_to_ties(one([(7, 3.0)]), one([(7, 3.0), (8, 2.0)]))
