"""The Gram matrix against a dense product, whichever items are taken as dense."""

import numpy as np
import pytest
from scipy import sparse

from recsys_lab.models import gram
from recsys_lab.models.gram import gram_matrix, gram_where_dense_pays


def skewed(density: float, users: int = 3_000, items: int = 64) -> sparse.csr_array:
    """Item i is touched in proportion to 1 / (1 + i)."""
    chances = density * items / (1 + np.arange(items))
    drawn = np.random.default_rng(0).random((users, items))
    return sparse.csr_array((drawn < chances) * (1 + drawn).astype(np.float32))


@pytest.mark.parametrize("density", [0.0005, 0.02, 0.5])
def test_it_is_the_dense_product(density: float) -> None:
    matrix = skewed(density)
    dense = matrix.toarray()
    np.testing.assert_allclose(gram_matrix(matrix), dense.T @ dense, rtol=1e-5)


@pytest.mark.parametrize("head", [0, 1, 20, 64])
def test_every_choice_of_the_dense_side_gives_the_same(head: int, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = skewed(0.02)
    dense = matrix.toarray()
    order = gram._cheapest_head(matrix)[0]
    monkeypatch.setattr(gram, "_cheapest_head", lambda _: (order, head, 0.0))
    np.testing.assert_allclose(gram_matrix(matrix), dense.T @ dense, rtol=1e-5)


def test_dense_products_pay_where_histories_are_long() -> None:
    assert gram_where_dense_pays(skewed(0.5)) is not None
    assert gram_where_dense_pays(skewed(0.0005, users=100, items=5_000)) is None


def test_no_dense_matrix_is_made_of_too_many_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gram, "LARGEST_DENSE", 63**2)
    assert gram_where_dense_pays(skewed(0.5)) is None


def test_a_middling_head_costs_what_its_parts_do() -> None:
    touched = np.zeros((8, 64), np.float32)
    touched[:, :2] = 1  # items 0 and 1 by everybody, 2 to 9 by one user each
    touched[np.arange(8), np.arange(2, 10)] = 1
    order, head, cost = gram._cheapest_head(sparse.csr_array(touched))
    assert (order[:10].tolist(), head) == (list(range(10)), 8)  # 0, 1, 2, 4, 8 … are looked at; two users remain
    assert cost == 8 * 8**2 / 2 + gram.SPARSE_BY_DENSE * 2 * 8 + gram.SPARSE_BY_SPARSE * 2
