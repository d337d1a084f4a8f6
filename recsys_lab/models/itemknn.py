"""Item-KNN: items are alike when the same users touched them.

Sarwar et al., "Item-based collaborative filtering recommendation algorithms", WWW 2001, §3.1.1;
shrinkage as in Bell & Koren, "Scalable collaborative filtering", ICDM 2007, §3.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.fold import Fold
from recsys_lab.data.log import Counts, InteractionLog
from recsys_lab.errors import ConfigError
from recsys_lab.models.base import Arrays, NeighbourModel

ITEMS_PER_BLOCK = 256


class ItemKNN(NeighbourModel):
    """Cosine between the items' user vectors, the strongest ``neighbours`` of each item kept (None: all).

    cosine(i, j) = xᵢ·xⱼ / (‖xᵢ‖ ‖xⱼ‖ + ``shrinkage``): shrinkage holds down pairs that few
    users support. ``counts`` says what stands in the users × items matrix, as in
    ``InteractionLog.matrix``. With ``self_similarity`` an item of the history also speaks for
    itself, which only matters where seen items may be recommended again.
    """

    weights: sparse.csr_array  # [I, I], float32

    def __init__(
        self,
        *,
        neighbours: int | None = 200,
        shrinkage: float = 0.0,
        counts: Counts = "binary",
        self_similarity: bool = False,
    ) -> None:
        if neighbours is not None and neighbours < 1:
            raise ConfigError(f"neighbours: {neighbours} leaves no neighbour; use 1 or more, or null for all")
        if not shrinkage >= 0:
            raise ConfigError(f"shrinkage: {shrinkage} would stretch; use 0 or more")
        self.neighbours = neighbours
        self.shrinkage = shrinkage
        self.counts: Counts = counts
        self.self_similarity = self_similarity

    def item_weights(self) -> sparse.csr_array:
        return self.weights

    def _fit(self, train: InteractionLog, catalogue: Catalogue, valid: Fold | None) -> None:
        by_user = train.matrix(self.counts)
        by_user.eliminate_zeros()
        by_item = by_user.T.tocsr()
        lengths = np.sqrt(by_user.multiply(by_user).sum(axis=0))
        blocks = []
        for start in range(0, train.n_items, ITEMS_PER_BLOCK):
            alike = (by_item[start : start + ITEMS_PER_BLOCK] @ by_user).tocoo()
            rows, columns = alike.coords
            alike.data /= lengths[rows + start] * lengths[columns] + self.shrinkage
            if not self.self_similarity:
                alike.data[rows + start == columns] = 0
            blocks.append(strongest(alike.tocsr(), self.neighbours or train.n_items))
        self.weights = sparse.vstack(blocks, format="csr")

    def _arrays(self) -> Arrays:
        return {"offsets": self.weights.indptr, "items": self.weights.indices, "weights": self.weights.data}

    def _restore(self, arrays: Arrays) -> None:
        items = len(self.catalogue)
        self.weights = sparse.csr_array((arrays["weights"], arrays["items"], arrays["offsets"]), shape=(items, items))


def strongest(matrix: sparse.csr_array, width: int) -> sparse.csr_array:
    """Only the ``width`` largest positive values of each row; ties to the lower column."""
    matrix.eliminate_zeros()
    matrix.sort_indices()
    for row in np.flatnonzero(np.diff(matrix.indptr) > width):
        values = matrix.data[matrix.indptr[row] : matrix.indptr[row + 1]]
        values[np.argsort(-values, kind="stable")[width:]] = 0
    matrix.eliminate_zeros()
    return matrix
