"""How often items meet in the users' histories: XᵀX, what EASE, SLIM and item-KNN all start from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

# What one multiply-add costs, measured, in those of a dense product.
SPARSE_BY_SPARSE, SPARSE_BY_DENSE = 200, 10


def gram_matrix(matrix: sparse.csr_array) -> NDArray[np.float32]:
    """XᵀX of a sparse X [U, I], dense [I, I].

    A few items have most of the events. A dense product is quickest among those, and a sparse one
    among the many others; how many go to which side is chosen by what it would cost.
    """
    items = matrix.shape[1]
    order = np.argsort(-matrix.count_nonzero(axis=0), kind="stable")
    head_size = _cheapest_head(matrix, order)[0]
    head, tail = matrix[:, order[:head_size]].toarray(), matrix[:, order[head_size:]]
    gram = np.empty((items, items), np.float32)
    gram[:head_size, :head_size] = head.T @ head
    gram[head_size:, head_size:] = (tail.T @ tail).toarray()
    gram[head_size:, :head_size] = tail.T @ head
    gram[:head_size, head_size:] = gram[head_size:, :head_size].T
    place = np.argsort(order)
    return np.take(gram[place], place, axis=1)


def dense_pays(matrix: sparse.csr_array) -> bool:
    """Whether ``gram_matrix`` is quicker than a sparse product, its I² numbers included."""
    order = np.argsort(-matrix.count_nonzero(axis=0), kind="stable")
    alone = SPARSE_BY_SPARSE * np.square(np.diff(matrix.indptr), dtype=np.float64).sum()
    return bool(_cheapest_head(matrix, order)[1] + matrix.shape[1] ** 2 * SPARSE_BY_DENSE < alone)


def _cheapest_head(matrix: sparse.csr_array, order: NDArray[np.int64]) -> tuple[int, float]:
    """How many of the items, most frequent first, to take as dense, and what XᵀX then costs."""
    users, items = matrix.shape
    rank = np.argsort(order)[matrix.indices]
    rows = np.repeat(np.arange(users), np.diff(matrix.indptr))
    best, least = 0, np.inf
    for size in sorted({0, items, *(items >> shift for shift in range(1, 6))}):
        tail = np.bincount(rows[rank >= size], minlength=users).astype(np.float64)
        cost = users * size**2 / 2 + SPARSE_BY_DENSE * tail.sum() * size + SPARSE_BY_SPARSE * (tail @ tail)
        if cost < least:
            best, least = size, cost
    return best, least
