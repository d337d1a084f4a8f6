"""The best of each row, against the plainest way to say it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from serving_min.rerank import top_k

# few levels, so that many tie; -inf is no opinion
rows = arrays.arrays(
    np.float32,
    st.tuples(st.integers(0, 3), st.integers(1, 150)),
    elements=st.sampled_from([-np.inf, -2.0, -0.0, 0.0, 0.5, 3.0]),
)


@given(scores=rows, k=st.integers(1, 30))
def test_the_best_by_score_then_code(scores: np.ndarray, k: int) -> None:
    lists = top_k(scores, k)
    for row, items, values in zip(scores, lists.items, lists.scores, strict=True):
        codes = sorted(np.flatnonzero(row > -np.inf), key=lambda code: (-row[code], code))[:k]
        blanks = k - len(codes)
        assert items.tolist() == codes + [-1] * blanks
        assert values.tolist() == [row[code] for code in codes] + [-np.inf] * blanks


@pytest.mark.parametrize("k", [1, 10, 60, 1000])
def test_wide_rows_of_distinct_scores(k: int) -> None:
    scores = np.random.default_rng(0).permuted(np.tile(np.arange(1003, dtype=np.float32), (5, 1)), axis=1)
    assert top_k(scores, k).items.tolist() == np.argsort(-scores, axis=1)[:, :k].tolist()


def test_no_number_is_never_taken() -> None:
    scores = np.tile(np.arange(100, dtype=np.float32), (2, 1))
    scores[0, 2:] = np.nan
    assert top_k(scores, 3).items.tolist() == [[1, 0, -1], [99, 98, 97]]


def test_wide_rows_of_ties() -> None:
    scores = np.zeros((2, 1000), np.float32)
    scores[0, ::-3] = 1
    scores[1, [700, 900]] = 2
    assert top_k(scores, 4).items.tolist() == [[0, 3, 6, 9], [700, 900, 0, 1]]


def test_both_zeros_are_one_score() -> None:
    scores = np.array([[-0.0, 0.0, -1.0, 0.0, -0.0]], np.float32)
    assert top_k(scores, 4).items.tolist() == [[0, 1, 3, 4]]


def test_a_long_list_is_in_the_order_of_a_stable_sort() -> None:
    scores = np.random.default_rng(0).normal(size=(20, 300)).astype(np.float32).round(1)
    scores[:, ::7] = -np.inf
    wanted = np.argsort(-scores, axis=1, kind="stable")[:, :200]
    np.testing.assert_array_equal(top_k(scores, 200).items, wanted)
