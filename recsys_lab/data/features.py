"""What the catalogue says about each item, as one sparse vector per item."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsys_lab.data import columns
from recsys_lab.data.catalogue import Catalogue


def content_matrix(
    catalogue: Catalogue,
    *,
    max_features: int = 20_000,
    category_weight: float = 0.7,
    brand_weight: float = 0.5,
    price_weight: float = 0.3,
    price_buckets: int = 10,
) -> sparse.csr_array:
    """Unit rows [I, F] float32, so that inner products are cosines; a zero row for an item without content.

    Side by side stand the TF-IDF of title and text (the ``max_features`` most frequent words,
    no stop list: idf plays down what every title says, in any language), the categories (a
    category ``a|b`` is both), the brand, and the price's quantile bucket. A weight is the length
    of its part where the text's length is 1. Columns that the shop lacks add nothing.

    Everything is counted over this catalogue alone: hand over one that ends at the cutoff.
    """
    parts = [
        _words(catalogue, max_features),
        category_weight * _labels([value.split("|") for value in catalogue.strings(columns.CATEGORY)]),
        brand_weight * _labels([[value] for value in catalogue.strings(columns.BRAND)]),
        price_weight * _labels(_buckets(catalogue.numbers(columns.PRICE), price_buckets)),
    ]
    return _unit_rows(sparse.hstack(parts, format="csr", dtype=np.float32))


def _words(catalogue: Catalogue, max_features: int) -> sparse.csr_array:
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = catalogue.strings(columns.TITLE) + " " + catalogue.strings(columns.TEXT)
    vectorizer = TfidfVectorizer(
        max_features=max_features, sublinear_tf=True, strip_accents="unicode", dtype=np.float32
    )
    if not any(map(vectorizer.build_analyzer(), texts)):
        return sparse.csr_array((len(catalogue), 0), dtype=np.float32)
    return sparse.csr_array(vectorizer.fit_transform(texts))


def _labels(labels: Sequence[Sequence[str]]) -> sparse.csr_array:
    """Unit rows [I, number of distinct labels]; the label "" counts as none."""
    named = [sorted({label.strip() for label in row} - {""}) for row in labels]
    column = {name: place for place, name in enumerate(sorted({name for row in named for name in row}))}
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in named])])
    places = np.array([column[name] for row in named for name in row], np.int32)
    ones = np.ones(len(places), np.float32)
    return _unit_rows(sparse.csr_array((ones, places, offsets), shape=(len(named), len(column))))


def _buckets(prices: NDArray[np.float64], buckets: int) -> list[list[str]]:
    """The quantile bucket of each price, as a label. Quantiles make it the same for log prices."""
    known = np.isfinite(prices)
    if not known.any():
        return [[] for _ in prices]
    edges = np.unique(np.quantile(prices[known], np.linspace(0, 1, buckets + 1)[1:-1]))
    return [[str(np.searchsorted(edges, price, side="right"))] if np.isfinite(price) else [] for price in prices]


def _unit_rows(matrix: sparse.csr_array) -> sparse.csr_array:
    lengths = np.sqrt(matrix.multiply(matrix).sum(axis=1))
    scale = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    matrix.data *= np.repeat(scale, np.diff(matrix.indptr)).astype(matrix.dtype)
    return matrix
