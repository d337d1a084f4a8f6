"""How often items meet in the users' histories: XᵀX, what EASE, SLIM and item-KNN all start from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

# What one multiply-add costs, measured, in those of a dense product.
SPARSE_BY_SPARSE, SPARSE_BY_DENSE = 200, 10
LARGEST_DENSE = 1 << 30  # numbers, 4 GiB; there are twice as many while they are ordered


def gram_matrix(matrix: sparse.csr_array) -> NDArray[np.float32]:
    """XᵀX of a sparse X [U, I], dense [I, I].

    A few items have most of the events. A dense product is quickest among those, and a sparse one
    among the many others; how many go to which side is chosen by what it would cost.
    """
    return _product(matrix, *_cheapest_head(matrix)[:2])


def gram_where_dense_pays(matrix: sparse.csr_array) -> NDArray[np.float32] | None:
    """``gram_matrix``, or None where a sparse product is quicker than that, its I² numbers included, or I² too many."""
    if matrix.shape[1] ** 2 > LARGEST_DENSE:
        return None
    order, head_size, cost = _cheapest_head(matrix)
    alone = SPARSE_BY_SPARSE * np.square(np.diff(matrix.indptr), dtype=np.float64).sum()
    return _product(matrix, order, head_size) if cost + matrix.shape[1] ** 2 * SPARSE_BY_DENSE < alone else None


def _product(matrix: sparse.csr_array, order: NDArray[np.int64], head_size: int) -> NDArray[np.float32]:
    """XᵀX with the first ``head_size`` items of ``order`` taken as dense."""
    items = matrix.shape[1]
    order = np.concatenate([np.sort(order[:head_size]), np.sort(order[head_size:])])  # moving neighbours is quicker
    head, tail = matrix[:, order[:head_size]].toarray(), matrix[:, order[head_size:]]
    gram = np.empty((items, items), np.float32)
    gram[:head_size, :head_size] = head.T @ head
    gram[head_size:, head_size:] = (tail.T @ tail).toarray()
    gram[head_size:, :head_size] = tail.T @ head
    gram[:head_size, head_size:] = gram[head_size:, :head_size].T
    place, ordered = np.argsort(order), np.empty_like(gram)
    for row, source in zip(ordered, place, strict=True):
        np.take(gram[source], place, out=row, mode="clip")  # without "clip" it goes through a buffer
    return ordered


def _cheapest_head(matrix: sparse.csr_array) -> tuple[NDArray[np.int64], int, float]:
    """The items, most frequent first, how many of them to take as dense, and what XᵀX then costs."""
    users, items = matrix.shape
    order = np.argsort(-np.bincount(matrix.indices, minlength=items), kind="stable")
    sizes = np.array(sorted({0, items, *(items >> shift for shift in range(1, 6))}))
    in_tails = np.searchsorted(sizes, np.argsort(order), side="right")  # [I] for how many sizes an item is in the tail
    rows = np.repeat(np.arange(users) * (len(sizes) + 1), np.diff(matrix.indptr))
    events = np.bincount(rows + in_tails[matrix.indices], minlength=users * (len(sizes) + 1)).reshape(users, -1)
    tails = events[:, :0:-1].cumsum(axis=1)[:, ::-1].astype(np.float64)  # [U, sizes] a user's events in the tail
    costs = users * np.square(sizes, dtype=np.float64) / 2
    costs += SPARSE_BY_DENSE * tails.sum(axis=0) * sizes + SPARSE_BY_SPARSE * np.square(tails).sum(axis=0)
    best = int(costs.argmin())
    return order, int(sizes[best]), float(costs[best])
