from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving_min import item_vectors
from serving_min.item_vectors import ItemVectors, in_8_bits
from serving_min.rerank import top_k
from serving_min.vectors import SHALLOW, _class_of, best_first

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(50, 6)).astype(np.float32)
QUERIES = RNG.normal(size=(3, 6)).astype(np.float32)
PLACES = RNG.integers(0, 50, (3, 8))


def test_8_bits_are_off_by_at_most_half_a_step() -> None:
    coded = in_8_bits(VECTORS)
    assert (coded.stored.dtype, coded.stored.nbytes) == (np.int8, VECTORS.nbytes // 4)
    lengths = np.sqrt((VECTORS**2).mean(axis=0))
    steps = np.abs(VECTORS / lengths).max(axis=1, keepdims=True) / 127 * lengths
    assert (np.abs(coded.rows(slice(None)) - VECTORS) <= 0.501 * steps).all()
    assert in_8_bits(np.zeros((4, 2), np.float32)).rows(slice(None)).tolist() == [[0, 0]] * 4


@pytest.mark.parametrize("vectors", [ItemVectors(VECTORS), in_8_bits(VECTORS)], ids=["float32", "8 bits"])
def test_scores_and_lengths_are_those_of_the_rows(vectors: ItemVectors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(item_vectors, "BLOCK", 7)
    rows = vectors.rows(slice(None))
    expected = np.einsum("qfd,qd->qf", rows[PLACES], QUERIES)
    np.testing.assert_allclose(vectors.scores(PLACES, QUERIES), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(vectors.all_scores(QUERIES[0]), rows @ QUERIES[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(vectors.norms, np.linalg.norm(rows, axis=1), rtol=1e-5)
    monkeypatch.setattr(item_vectors, "PIECE", 4)
    direction = QUERIES[0] / np.linalg.norm(QUERIES[0])
    cosines = rows @ direction / np.linalg.norm(rows, axis=1)
    for places in (np.arange(10), np.arange(50), np.arange(0)):
        np.testing.assert_allclose(vectors.cosines(places, direction), cosines[places], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("vectors", [ItemVectors(VECTORS), in_8_bits(VECTORS)], ids=["float32", "8 bits"])
def test_a_score_does_not_depend_on_what_else_is_asked(vectors: ItemVectors) -> None:
    together = vectors.scores(PLACES, QUERIES)
    for row in range(3):
        alone = vectors.scores(PLACES[row : row + 1], QUERIES[row : row + 1])
        assert alone.tobytes() == together[row : row + 1].tobytes()


scores = st.lists(st.sampled_from([-np.inf, -2.5, -1e-30, -0.0, 0.0, 1e-30, 0.5, 3.0]), min_size=12, max_size=12)


@given(rows=st.lists(scores, min_size=1, max_size=3), k=st.integers(1, 12))
def test_best_first_is_top_k(rows: list[list[float]], k: int) -> None:
    table = np.array(rows, np.float32)
    codes = np.tile(np.arange(12, dtype=np.int32), (len(rows), 1))
    expected, (items, values) = top_k(table, k), best_first(codes, table, k)
    assert values.tolist() == expected.scores.tolist()
    taken = values > -np.inf
    assert items[taken].tolist() == expected.items[taken].tolist()


def test_depths_are_told_apart_only_beyond_the_shallow_ones() -> None:
    assert {_class_of(depth) for depth in range(1, SHALLOW + 1)} == {SHALLOW}
    assert [_class_of(depth) for depth in (0, SHALLOW + 1, 4 * SHALLOW, 4 * SHALLOW + 1)] == [
        *(0, 4 * SHALLOW, 4 * SHALLOW, 16 * SHALLOW)
    ]
