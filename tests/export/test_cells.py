"""How many lists are looked into for what is similar: as few as hold it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

from recsys_lab.export import cells as module
from recsys_lab.export.cells import similar_probes
from serving_min.bounds import Bounds
from serving_min.cells import Cells
from serving_min.item_vectors import ItemVectors
from serving_min.vectors import Vectors
from tests.export.test_index import clustered

LISTS = 128


def inverted(vectors: NDArray[np.float32]) -> Any:
    index: Any = faiss.index_factory(vectors.shape[1], f"IVF{LISTS},Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    return index


def test_so_many_that_the_share_asked_for_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 7_000)
    vectors = clustered(20_000, seed=1)
    index = inverted(vectors)
    probes = {target: similar_probes(index, vectors, target=target, k=50) for target in (0.5, 0.8, 0.95, 0.99)}
    assert 1 <= probes[0.5] <= probes[0.8] < probes[0.95] < probes[0.99] <= LISTS // 2
    assert probes[0.95] == similar_probes(index, vectors, target=0.95, k=50)
    codes, nobody = np.arange(len(vectors), dtype=np.int32), np.zeros(0, np.int32)
    exact = Vectors(None, ("items",), None, index, codes, ItemVectors(vectors))
    model = replace(exact, cells=Cells.of(index, probes[0.95], 50))
    for k in (10, 50):
        shares = []
        for code in range(0, len(vectors), 199):
            found, all_of_them = (one.similar(code, Bounds(k + 1, nobody)).items[0, 1:] for one in (model, exact))
            shares.append(np.isin(all_of_them, found).mean())
        assert np.mean(shares) > 0.94


def test_where_half_of_them_would_not_do_all_items_are_compared() -> None:
    vectors = np.random.default_rng(0).normal(size=(5_000, 32)).astype(np.float32)
    assert similar_probes(inverted(vectors), vectors, target=0.99, k=50) == 0


def test_where_nothing_has_a_direction_nothing_is_measured() -> None:
    vectors = np.zeros((5_000, 4), np.float32)
    assert similar_probes(inverted(vectors), vectors, target=0.9, k=50) == 0


def test_an_index_without_lists_needs_none() -> None:
    vectors = clustered(100, seed=1)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    assert similar_probes(index, vectors, target=0.95, k=50) == 0
