"""EASE: the item-item weights that best rebuild every history from its other items, in closed form.

Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019, eq. 8.
Shapes: U users, I items.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.fold import Fold
from recsys_lab.data.log import Counts, InteractionLog
from recsys_lab.errors import ConfigError, ModelError
from recsys_lab.models.base import Arrays, NeighbourModel
from recsys_lab.models.gram import gram_matrix

ITEMS_PER_BLOCK = 256


class EASE(NeighbourModel):
    """Ridge regression of each item on all others: the diagonal is held at zero.

    Time grows with I³ and memory with I²: ``fit`` raises ModelError rather than take more than
    ``max_memory_gb``. ``counts`` says what stands in the users × items matrix, as in
    ``InteractionLog.matrix``; more counts want more ``regularization``.
    """

    weights: NDArray[np.float32]  # [I, I]

    def __init__(self, *, regularization: float = 200.0, counts: Counts = "binary", max_memory_gb: float = 8.0) -> None:
        if not regularization > 0:
            raise ConfigError(
                f"regularization: {regularization} leaves the Gram matrix singular; use a positive number"
            )
        self.regularization = regularization
        self.counts: Counts = counts
        self.max_memory_gb = max_memory_gb

    def item_weights(self) -> NDArray[np.float32]:
        return self.weights

    def _fit(self, train: InteractionLog, catalogue: Catalogue, valid: Fold | None) -> None:
        needed = train.n_items**2 * 4 * 3 / 1e9  # the Gram matrix, its inverse and one working copy
        if needed > self.max_memory_gb:
            raise ModelError(
                f"ease: {train.n_items} items need {needed:.1f} GB, more than max_memory_gb={self.max_memory_gb}; "
                "raise it, drop rare items (k-core), or use itemknn"
            )
        gram = gram_matrix(train.matrix(self.counts))
        gram[np.diag_indices_from(gram)] += self.regularization
        weights = inverse(gram)  # P
        weights /= -np.diag(weights).copy()  # B = I - P / diag(P), column by column
        np.fill_diagonal(weights, 0)
        self.weights = weights

    def _arrays(self) -> Arrays:
        return {"weights": self.weights}

    def _restore(self, arrays: Arrays) -> None:
        self.weights = arrays["weights"]


def inverse(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """The inverse of a symmetric positive definite matrix, which is overwritten."""
    from scipy.linalg.lapack import spotrf, spotri

    # LAPACK works in place on columns first, which the transpose of a symmetric matrix is
    factor, failed = spotrf(matrix.T, lower=1, clean=0, overwrite_a=1)
    if failed:
        raise ModelError("ease: the Gram matrix is not positive definite in float32; raise regularization")
    triangle, _ = spotri(factor, lower=1, overwrite_c=1)
    upper: NDArray[np.float32] = triangle.T
    for start in range(0, len(upper), ITEMS_PER_BLOCK):
        stop = start + ITEMS_PER_BLOCK
        corner = np.triu(upper[start:stop, start:stop])
        upper[start:stop, start:stop] = corner + np.triu(corner, 1).T
        upper[stop:, start:stop] = upper[start:stop, stop:].T
    return upper
