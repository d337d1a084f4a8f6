"""What a touch weighs before two items, or two users, are compared: the weights of text retrieval.

A row of the matrix is a document and a column a term: a term that most documents have says little.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsys_lab.errors import ConfigError

Weighting = Literal["none", "tfidf", "bm25"]
SATURATION, LENGTH = 1.2, 0.75  # k₁ and b, as Robertson & Zaragoza recommend them


def weighted(matrix: sparse.csr_array, weighting: Weighting) -> sparse.csr_array:
    """The matrix [R, C] with its counts f replaced, without zeros.

    ``tfidf``: √f · log((1 + R) / (1 + rows with the column)), never below 0. ``bm25``: f (k₁ + 1) / (f + k₁ (1 - b +
    b · row's sum / mean sum)) times the same logarithm. Robertson & Zaragoza, "The probabilistic
    relevance framework: BM25 and beyond", 2009, §3.4. Raises ConfigError for another name.
    """
    if weighting not in get_args(Weighting):
        raise ConfigError(f"weighting: {weighting!r} is unknown; use one of {', '.join(get_args(Weighting))}")
    matrix.eliminate_zeros()
    if weighting == "none":
        return matrix
    idf = rarity(matrix)[matrix.indices]
    if weighting == "tfidf":
        values = np.sqrt(matrix.data)
    else:
        sums = matrix.sum(axis=1)
        stretch = 1 - LENGTH + LENGTH * np.repeat(sums, np.diff(matrix.indptr)) / sums[sums > 0].mean()
        values = matrix.data * (SATURATION + 1) / (matrix.data + SATURATION * stretch)
    weights = sparse.csr_array((values * idf, matrix.indices, matrix.indptr), shape=matrix.shape)
    weights.eliminate_zeros()
    return weights.astype(np.float32)


def rarity(matrix: sparse.csr_array) -> NDArray[np.float64]:
    """The logarithm in both weights, the idf of each column [C]."""
    holders = np.bincount(matrix.indices[matrix.data != 0], minlength=matrix.shape[1])
    found: NDArray[np.float64] = np.log((1 + matrix.shape[0]) / (1 + holders))
    return found
