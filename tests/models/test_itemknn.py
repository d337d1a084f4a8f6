"""Item-KNN with cosines counted by hand."""

import numpy as np
import pytest
from scipy import sparse

from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError
from recsys_lab.models import itemknn
from recsys_lab.models.gram import gram_matrix
from recsys_lab.models.itemknn import ItemKNN, strongest
from tests.models.conformance import RecommenderConformance, ask, checkerboard


class TestItemKNN(RecommenderConformance):
    model = ItemKNN


@pytest.fixture
def log() -> InteractionLog:
    """Users {0, 1}, {0, 1, 2}, {0, 0}, {2}: item 0 has 3 users, item 1 has 2, item 2 has 2."""
    return InteractionLog.from_events(
        np.array([0, 0, 1, 1, 1, 2, 2, 3]), np.array([0, 1, 0, 1, 2, 0, 0, 2]), np.arange(8)
    )


def test_cosines_by_hand(log: InteractionLog) -> None:
    a, b, c = 2 / np.sqrt(3 * 2), 1 / np.sqrt(3 * 2), 1 / 2
    model = ItemKNN().fit(log)
    np.testing.assert_allclose(model.item_weights().toarray(), [[0, a, b], [a, 0, c], [b, c, 0]], rtol=1e-6)
    scores = model.score(ask([[0, 2], [1, 1]]))
    np.testing.assert_allclose(scores, [[b, a + c, b], [a, -np.inf, c]], rtol=1e-6)


def test_shrinkage_is_added_to_the_denominator(log: InteractionLog) -> None:
    weights = ItemKNN(shrinkage=10.0).fit(log).item_weights().toarray()
    assert weights[0, 1] == pytest.approx(2 / (np.sqrt(6) + 10))


def test_counts_weigh_repeated_events(log: InteractionLog) -> None:
    """User 2 touched item 0 twice: x₀ = (1, 1, 2, 0), x₁ = (1, 1, 0, 0)."""
    weights = ItemKNN(counts="sum").fit(log).item_weights().toarray()
    assert weights[0, 1] == pytest.approx(2 / np.sqrt(6 * 2))


def test_an_item_may_speak_for_itself(log: InteractionLog) -> None:
    weights = ItemKNN(self_similarity=True).fit(log).item_weights().toarray()
    np.testing.assert_allclose(np.diag(weights), 1, rtol=1e-6)


def test_only_the_strongest_neighbours_are_kept(log: InteractionLog) -> None:
    kept = ItemKNN(neighbours=1).fit(log).item_weights().toarray() > 0
    assert kept.tolist() == [[False, True, False], [True, False, False], [False, True, False]]
    assert ItemKNN(neighbours=None).fit(log).item_weights().nnz == 6


def test_neighbours_may_be_kept_of_the_item_that_is_recommended(log: InteractionLog) -> None:
    """Items 0 and 1 are each other's nearest; item 2 listens to item 1, not the other way round."""
    kept = ItemKNN(neighbours=1, neighbours_of="recommended").fit(log).item_weights().toarray() > 0
    assert kept.tolist() == [[False, True, False], [True, False, True], [False, False, False]]
    with pytest.raises(ConfigError, match="neighbours_of: 'asked' is unknown; use history or recommended"):
        ItemKNN(neighbours_of="asked")


def test_ties_at_the_edge_go_to_the_lower_column() -> None:
    matrix = sparse.csr_array(np.array([[1, 3, 2, 2, 2], [0, 0, 0, 0, 1]], np.float32))
    assert strongest(matrix, 3).toarray().tolist() == [[0, 3, 2, 2, 0], [0, 0, 0, 0, 1]]


@pytest.mark.parametrize("neighbours", [None, 3])
def test_dense_and_sparse_products_give_the_same(neighbours: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for product in (gram_matrix, lambda _: None):
        monkeypatch.setattr(itemknn, "gram_where_dense_pays", product)
        found.append(ItemKNN(neighbours=neighbours, weighting="bm25").fit(checkerboard()).item_weights().toarray())
    np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-7)
    assert found[0].any()


def test_blocks_do_not_change_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ItemKNN(neighbours=3).fit(checkerboard()).item_weights().toarray()
    monkeypatch.setattr(itemknn, "ITEMS_PER_BLOCK", 5)
    np.testing.assert_array_equal(ItemKNN(neighbours=3).fit(checkerboard()).item_weights().toarray(), whole)


@pytest.mark.parametrize("settings", [{"neighbours": 0}, {"shrinkage": -1.0}])
def test_settings_that_cannot_work_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        ItemKNN(**settings)
