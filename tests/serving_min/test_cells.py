"""What is similar, found in the lists of an inverted file as when all items are compared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

from serving_min import vectors as module
from serving_min.assortment.vectors import Grown
from serving_min.bounds import Bounds
from serving_min.cells import Cells
from serving_min.item_vectors import ItemVectors
from serving_min.vectors import Vectors

COUNT, WIDTH, LISTS, K = 4_000, 8, 64, 10
NOBODY = np.zeros(0, np.int32)


def clustered() -> NDArray[np.float32]:
    """Items around a hundred tastes, some of them four times as long as others."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(100, WIDTH))
    points = centres[rng.integers(0, 100, COUNT)] + 0.5 * rng.normal(size=(COUNT, WIDTH))
    return (points * rng.uniform(0.5, 2, (COUNT, 1))).astype(np.float32)


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> Vectors:
    monkeypatch.setattr(module, "EXACT_BELOW", 200)
    points = clustered()
    index: Any = faiss.index_factory(WIDTH, f"IVF{LISTS},Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(points)
    index.add(points)
    codes = 2 * np.arange(COUNT, dtype=np.int32)  # every second item is no candidate
    return Vectors(None, ("items",), None, index, codes, ItemVectors(points))


def with_cells(model: Vectors, probes: int) -> Vectors:
    return replace(model, cells=Cells.of(model.index, probes, K))


def same(some: Vectors, others: Vectors, bounds: Bounds) -> float:
    """The share of the second one's lists that the first one has."""
    codes = others.codes[::37].tolist()
    pairs = [(some.similar(code, bounds).items[0], others.similar(code, bounds).items[0]) for code in codes]
    return float(np.mean([np.isin(right, left).mean() for left, right in pairs]))


def test_the_lists_around_an_item_have_what_is_like_it(exact: Vectors) -> None:
    model = with_cells(exact, 12)
    assert same(model, exact, Bounds(K, NOBODY)) > 0.97
    assert same(with_cells(exact, 1), exact, Bounds(K, NOBODY)) < 0.9
    best, all_of_them = (one.similar(0, Bounds(K, NOBODY)) for one in (model, exact))
    assert best.items.tolist() == all_of_them.items.tolist()
    np.testing.assert_allclose(best.scores, all_of_them.scores, rtol=1e-5)
    assert best.scores[0, 0] == pytest.approx(1)


def test_within_bounds_as_many_are_found(exact: Vectors) -> None:
    model, shares = with_cells(exact, 12), {}
    for share in (0.5, 0.1, 0.01):
        allowed = np.random.default_rng(1).random(2 * COUNT) < share
        bounds = Bounds(K, np.array([0, 2], np.int32), allowed)
        found = model.similar(4, bounds).items[0]
        assert allowed[found].all()
        assert not {0, 2} & {*found.tolist()}
        shares[share] = same(model, exact, bounds)
    assert min(shares.values()) > 0.95
    among = Bounds(K, NOBODY, among=np.array([8, 16, 24], np.int32))
    assert sorted(model.similar(4, among).items[0, :3].tolist()) == [8, 16, 24]


def test_a_long_list_looks_further(exact: Vectors) -> None:
    bounds = Bounds(40, NOBODY)
    assert same(with_cells(exact, 6), exact, bounds) > 0.95
    assert with_cells(exact, LISTS).cells.around(np.ones(WIDTH, np.float32), K, 1.0) is None  # type: ignore[union-attr]


def test_items_that_came_later_are_in_no_list_and_found_all_the_same(exact: Vectors) -> None:
    twin = exact.vectors.rows(np.array([7])) * 3
    grown = Grown.from_model(with_cells(exact, 4), 2 * COUNT, np.array([2 * COUNT], np.int32), twin)
    for code in (14, 2 * COUNT):
        assert {*grown.similar(code, Bounds(2, NOBODY)).items[0].tolist()} == {14, 2 * COUNT}


def test_an_index_without_lists_has_none() -> None:
    assert Cells.of(faiss.IndexFlatIP(WIDTH), 4, K) is None
