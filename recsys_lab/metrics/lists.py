"""What lists are like beyond accuracy: how varied, how novel, and how unevenly they expose items.

Shapes: Q queries, k places, I items. ``items`` [Q, k] holds item codes, -1 where the list is
shorter. A value per query is NaN where it has no meaning (no item, or no pair of items);
``coverage`` and ``gini`` describe all lists together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from serving_min.queries import offsets_of

Items = NDArray[np.int32]
Values = NDArray[np.float64]


def category_diversity(items: Items, categories: NDArray[np.int32]) -> Values:
    """Share of the list's pairs whose items differ in ``categories`` [I], per query.

    An unknown category counts as one category of its own. Ziegler et al. (2005), WWW,
    intra-list similarity with a 0/1 similarity, turned into a dissimilarity.
    """
    width = items.shape[1]
    blanks = -1 - np.arange(width, dtype=np.int32)  # all different: an empty place equals nothing
    codes = np.where(items >= 0, categories[items], blanks)
    alike = np.zeros(len(items))
    for distance in range(1, width):
        alike += (codes[:, distance:] == codes[:, :-distance]).sum(axis=1)
    return 1 - _where_positive(alike, _pairs(items))


def content_diversity(items: Items, vectors: NDArray[np.float32]) -> Values:
    """1 - mean cosine of the list's pairs, per query, from ``vectors`` [I, D].

    With unit vectors u, |Σ u|² = Σ |u|² + 2 Σ cos over pairs, so no pair is ever formed.
    An item whose vector is 0 is like nothing else. Range [0, 2], for non-negative vectors [0, 1].
    """
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    lists = _matrix(items, len(vectors))
    total = lists @ units
    squares = np.einsum("qd,qd->q", total, total, dtype=np.float64)
    cosines = (squares - lists @ np.square(units).sum(axis=1)) / 2
    return 1 - _where_positive(cosines, _pairs(items))


def novelty(items: Items, counts: NDArray[np.int64]) -> Values:
    """Mean of -log2 p over the list, in bits, p = (count + 1) / (N + I) the share of training events.

    ``counts`` [I] are an item's training events and N their sum; one is added to each so that an
    item nobody touched is very novel, not infinitely so. Zhou et al. (2010), PNAS 107(10),
    self-information; Vargas and Castells (2011), RecSys.
    """
    surprise = np.log2(counts.sum() + len(counts)) - np.log2(counts + 1)
    return _mean_over_list(items, surprise)


def mean_popularity(items: Items, counts: NDArray[np.int64]) -> Values:
    """Mean number of training events of the list's items, per query."""
    return _mean_over_list(items, counts.astype(np.float64))


def coverage(items: Items, candidates: NDArray[np.bool_]) -> float:
    """Share of the ``candidates`` [I] that appear in any list. Ge et al. (2010), RecSys, catalogue coverage."""
    shown = _exposure(items, len(candidates))[candidates] > 0
    return float(shown.mean()) if len(shown) else float("nan")


def gini(items: Items, candidates: NDArray[np.bool_]) -> float:
    """Gini index of how often each of the ``candidates`` [I] is shown: 0 all alike, near 1 only a few.

    Σ (2 i - n - 1) x_i / (n Σ x) over the counts x in ascending order, i = 1 … n.
    Shani and Gunawardana (2011), Recommender Systems Handbook, section 8.3.
    """
    shown = np.sort(_exposure(items, len(candidates))[candidates])
    size, total = len(shown), shown.sum()
    if total == 0:
        return float("nan")
    return float(((2 * np.arange(1, size + 1) - size - 1) * shown).sum() / (size * total))


def _pairs(items: Items) -> Values:
    sizes: NDArray[np.int64] = (items >= 0).sum(axis=1)
    return sizes * (sizes - 1) / 2


def _exposure(items: Items, n_items: int) -> NDArray[np.int64]:
    return np.bincount(items[items >= 0], minlength=n_items)


def _matrix(items: Items, n_items: int) -> sparse.csr_array:
    """The lists as a 0/1 matrix [Q, I]."""
    present = items >= 0
    offsets = offsets_of(present.sum(axis=1))
    ones = np.ones(offsets[-1], np.float32)
    return sparse.csr_array((ones, items[present], offsets), shape=(len(items), n_items))


def _mean_over_list(items: Items, by_item: Values) -> Values:
    present = items >= 0
    sizes: Values = present.sum(axis=1, dtype=np.float64)
    return _where_positive(np.where(present, by_item[items], 0).sum(axis=1), sizes)


def _where_positive(totals: Values, sizes: Values) -> Values:
    """``totals / sizes``, NaN where the size is 0."""
    means = np.full(len(totals), np.nan)
    np.divide(totals, sizes, out=means, where=sizes > 0)
    return means
