"""The table is as short as its lists allow, and never wrong in what it keeps."""

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from recsys_lab.export.neighbours import build_table
from recsys_lab.models.base import NeighbourModel
from serving_min.queries import Queries
from tests.export.planted import Together

ITEMS = 160
QUERIES = Queries.from_histories([[row, (row * 7) % ITEMS] for row in range(0, ITEMS, 4)])


def model_of(weights: np.ndarray) -> NeighbourModel:
    model = Together(penalty=1.0)
    model.weights = weights.astype(np.float32)
    model.popularity = np.ones(len(weights), np.float32)
    model.candidates = np.ones(len(weights), np.bool_)
    return model


def decaying(seed: int = 0) -> np.ndarray:
    """A few strong neighbours among many faint ones."""
    rng = np.random.default_rng(seed)
    return np.exp(-8 * rng.random((ITEMS, ITEMS)))


def rows(path: Path) -> sparse.csr_array:
    stored = np.load(path)
    return sparse.csr_array((stored["weights"], stored["items"], stored["offsets"]), shape=(ITEMS, ITEMS))


def test_faint_neighbours_are_left_out_and_the_rest_stands_heaviest_first(tmp_path: Path) -> None:
    model = model_of(decaying())
    table = build_table(model, QUERIES, exclude_seen=True, target_recall=0.97, k=10)
    table.write(tmp_path / "neighbours.npz")
    stored = np.load(tmp_path / "neighbours.npz")
    assert (table.neighbours, table.whole) == (50, False)
    assert np.diff(stored["offsets"]).tolist() == [50] * ITEMS
    for item in range(ITEMS):
        row = slice(stored["offsets"][item], stored["offsets"][item + 1])
        np.testing.assert_array_equal(stored["weights"][row], np.sort(model.item_weights()[item])[::-1][:50])
        np.testing.assert_array_equal(model.item_weights()[item, stored["items"][row]], stored["weights"][row])


def test_the_recall_is_that_of_its_lists() -> None:
    model = model_of(decaying())
    table = build_table(model, QUERIES, exclude_seen=False, target_recall=0.5, k=60)
    cut = model_of(rows_of(table.weights.offsets, table.weights.items, table.weights.weights))
    full = model.recommend(QUERIES, 60, exclude_seen=False).items
    kept = cut.recommend(QUERIES, 60, exclude_seen=False)
    shares = [np.isin(row, got[~filled]).mean() for row, got, filled in zip(full, kept.items, kept.filled, strict=True)]
    assert table.recall == pytest.approx(np.mean(shares))
    assert 0.5 <= table.recall < 1


def rows_of(offsets: np.ndarray, items: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return sparse.csr_array((weights, items, offsets), shape=(ITEMS, ITEMS)).toarray()


def test_a_target_of_one_keeps_everything(tmp_path: Path) -> None:
    weights = decaying() - 0.1
    weights[:, 3] = 0
    table = build_table(model_of(weights), QUERIES, exclude_seen=True, target_recall=1, k=10)
    table.write(tmp_path / "neighbours.npz")
    assert (table.neighbours, table.recall, table.whole) == (ITEMS - 1, 1.0, True)
    np.testing.assert_array_equal(rows(tmp_path / "neighbours.npz").toarray(), weights.astype(np.float32))


def test_strong_dislikes_are_kept_where_they_decide() -> None:
    # Every item speaks for 90 others, 20 of them loudly, and bars 30: who forgets the bars lists what is barred.
    weights = np.zeros((ITEMS, ITEMS))
    for item in range(ITEMS):
        order = np.random.default_rng(item).permutation(ITEMS)
        weights[item, order[:90]] = np.exp(-np.arange(90) / 10)
        weights[item, order[90:120]] = -5.0
    table = build_table(model_of(weights), QUERIES, exclude_seen=False, target_recall=0.5, k=20)
    kept = table.weights.weights
    assert table.neighbours == 50
    assert (kept < 0).mean() == pytest.approx(30 / 50)


def test_sparse_and_dense_give_the_same_table() -> None:
    dense, thin = model_of(decaying()), Together()
    thin.weights, thin.popularity, thin.candidates = dense.item_weights(), dense.popularity, dense.candidates
    a = build_table(dense, QUERIES, exclude_seen=True, target_recall=0.9, k=10)
    b = build_table(thin, QUERIES, exclude_seen=True, target_recall=0.9, k=10)
    np.testing.assert_array_equal(a.weights.items, b.weights.items)
    np.testing.assert_array_equal(a.weights.weights, b.weights.weights)


def test_a_small_table_is_kept_whole() -> None:
    model = model_of(decaying())
    settings = {"exclude_seen": True, "target_recall": 0.5, "k": 10}
    assert build_table(model, QUERIES, **settings, table_limit=ITEMS * ITEMS).whole
    assert not build_table(model, QUERIES, **settings, table_limit=ITEMS * ITEMS - 1).whole
