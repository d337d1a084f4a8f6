"""The Gram matrix against a dense product, whichever items are taken as dense."""

import numpy as np
import pytest
from scipy import sparse

from recsys_lab.models import gram
from recsys_lab.models.gram import dense_pays, gram_matrix


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
    monkeypatch.setattr(gram, "_cheapest_head", lambda *_: (head, 0.0))
    np.testing.assert_allclose(gram_matrix(matrix), dense.T @ dense, rtol=1e-5)


def test_dense_products_pay_where_histories_are_long() -> None:
    assert dense_pays(skewed(0.5))
    assert not dense_pays(skewed(0.0005, users=100, items=5_000))
