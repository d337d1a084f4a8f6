"""How many lists of an index hold what is like an item, measured on the bundle's own vectors."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys_lab.export.index import PROBES, SHORT, STANDARD_ERRORS, Vectors
from serving_min.cells import Cells
from serving_min.content import unit

SAMPLE = 200  # items whose most similar ones are looked for
BLOCK = 100_000  # vectors that are compared with them in one go


def similar_probes(index: Any, vectors: Vectors, *, target: float, k: int, seed: int = 0) -> int:
    """How many lists around an item have the share ``target`` of the ``k`` of all ``vectors`` [C, D] that are most like
    it by cosine, and of the first 10: more than it by two standard errors of a seeded sample of items. 0 where the
    index has no lists, or half of them would not do: then all items are to be compared."""
    cells = Cells.of(index, 1, k)
    k = min(k, len(vectors) - 1)
    rows = np.sort(np.random.default_rng(seed).permutation(len(vectors))[:SAMPLE])
    rows = rows[vectors[rows].any(axis=1)]
    if cells is None or k < 1 or not len(rows):
        return 0
    directions = unit(vectors[rows])
    cell_of = np.empty(len(vectors), np.int64)
    for cell, places in enumerate(cells.lists):
        cell_of[places] = cell
    nearest = np.argsort(-(directions @ cells.centres.T), axis=1)
    ranks = np.empty_like(nearest)
    np.put_along_axis(ranks, nearest, np.arange(len(cells.lists))[None], axis=1)
    needed = np.take_along_axis(ranks, cell_of[_most_alike(vectors, directions, rows, k)], axis=1)
    for count in _affordable(len(cells.lists)):
        each = [(needed[:, :length] < count).mean(axis=1) for length in {min(SHORT, k), k}]
        if all(some.mean() - STANDARD_ERRORS * some.std() / np.sqrt(len(some)) >= target for some in each):
            return count
    return 0


def _affordable(lists: int) -> Iterator[int]:
    return takewhile(lambda number: 2 * number <= lists, PROBES)


def _most_alike(vectors: Vectors, directions: Vectors, rows: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """Of each of the items at ``rows``, whose ``directions`` [S, D] these are, the k most similar others, [S, k]."""
    import faiss

    found, cosines = [], []
    for start in range(0, len(vectors), BLOCK):
        block = vectors[start : start + BLOCK]
        alike, places = faiss.knn(directions, unit(block), min(k + 1, len(block)), metric=faiss.METRIC_INNER_PRODUCT)
        found.append(places + start)
        cosines.append(np.where(places + start == rows[:, None], -np.inf, alike))
    best = np.argsort(-np.concatenate(cosines, axis=1), axis=1, kind="stable")[:, :k]
    return np.take_along_axis(np.concatenate(found, axis=1), best, axis=1)
