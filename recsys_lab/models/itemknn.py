"""Item-KNN: items are alike when the same users touched them.

Sarwar et al., "Item-based collaborative filtering recommendation algorithms", WWW 2001, §3.1.1;
shrinkage as in Bell & Koren, "Scalable collaborative filtering", ICDM 2007, §3.

Shapes: U users, I items, K neighbours.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.fold import Fold
from recsys_lab.data.log import Counts, InteractionLog
from recsys_lab.errors import ConfigError
from recsys_lab.models.gram import gram_where_dense_pays
from recsys_lab.models.table import TableModel
from recsys_lab.models.weighting import Weighting, weighted
from serving_min.queries import offsets_of
from serving_min.rerank import top_k

NeighboursOf = Literal["history", "recommended"]
ITEMS_PER_BLOCK = 256
TINY = 1e-30  # keeps 0 / 0 at 0 for items that nobody touched


class ItemKNN(TableModel):
    """Cosine between the items' user vectors, the strongest ``neighbours`` (K) of each item kept (None: all).

    cosine(i, j) = xᵢ·xⱼ / (‖xᵢ‖ ‖xⱼ‖ + ``shrinkage``): shrinkage holds down pairs that few
    users support. ``counts`` says what stands in the users × items matrix, as in
    ``InteractionLog.matrix``, and ``weighting`` what becomes of it in an item's vector: ``tfidf`` and
    ``bm25`` make less of users who touch much. With ``self_similarity`` an item of the history also speaks for
    itself, which only matters where seen items may be recommended again.

    ``neighbours_of`` says whose neighbours are kept: each item of the ``history`` names K others, or each item that may
    be ``recommended`` listens to K others, as in the paper's §3.2: then popular items, near to many, cannot crowd out
    the rest.
    """

    def __init__(
        self,
        *,
        neighbours: int | None = 200,
        shrinkage: float = 0.0,
        counts: Counts = "binary",
        weighting: Weighting = "none",
        self_similarity: bool = False,
        neighbours_of: NeighboursOf = "history",
    ) -> None:
        if neighbours is not None and neighbours < 1:
            raise ConfigError(f"neighbours: {neighbours} leaves no neighbour; use 1 or more, or null for all")
        if not shrinkage >= 0:
            raise ConfigError(f"shrinkage: {shrinkage} would stretch; use 0 or more")
        if neighbours_of not in get_args(NeighboursOf):
            known = " or ".join(get_args(NeighboursOf))
            raise ConfigError(f"neighbours_of: {neighbours_of!r} is unknown; use {known}")
        self.neighbours = neighbours
        self.shrinkage = shrinkage
        self.counts: Counts = counts
        self.weighting: Weighting = weighting
        self.self_similarity = self_similarity
        self.neighbours_of: NeighboursOf = neighbours_of

    def _fit(self, train: InteractionLog, catalogue: Catalogue, valid: Fold | None) -> None:
        by_user = train.matrix(self.counts)
        if self.weighting != "none":
            by_user = weighted(by_user.T.tocsr(), self.weighting).T.tocsr()
        squares = np.bincount(by_user.indices, weights=np.square(by_user.data), minlength=train.n_items)
        lengths = np.sqrt(squares).astype(np.float32)
        gram = gram_where_dense_pays(by_user)
        by_item: Any = by_user.T.tocsr() if gram is None else None
        blocks = []
        for start in range(0, train.n_items, ITEMS_PER_BLOCK):
            block = slice(start, start + ITEMS_PER_BLOCK)
            alike = by_item[block] @ by_user if gram is None else gram[block]
            blocks.append(self._nearest(alike, start, lengths))
        kept = sparse.vstack(blocks, format="csr")
        self.weights = kept if self.neighbours_of == "history" else kept.T.tocsr()  # alike goes both ways

    def _nearest(self, alike: Any, start: int, lengths: NDArray[np.float32]) -> sparse.csr_array:
        """The strongest of the inner products ``alike`` [B, I] (dense, or CSR) of the items from ``start`` on."""
        own, width = lengths[start : start + alike.shape[0]], self.neighbours or alike.shape[1]
        if sparse.issparse(alike):
            rows, columns = alike.tocoo().coords
            alike.data /= own[rows] * lengths[columns] + self.shrinkage
            if not self.self_similarity:
                alike.data[rows + start == columns] = 0
            return strongest(alike, width)
        alike /= np.maximum(own[:, None] * lengths + self.shrinkage, TINY)
        if not self.self_similarity:
            alike[np.arange(len(own)), start + np.arange(len(own))] = 0
        best = top_k(alike, min(width, alike.shape[1]))
        found = best.scores > 0
        offsets = offsets_of(found.sum(axis=1))
        return sparse.csr_array((best.scores[found], best.items[found], offsets), shape=alike.shape)


def strongest(matrix: sparse.csr_array, width: int) -> sparse.csr_array:
    """Only the ``width`` largest positive values of each row; ties to the lower column."""
    matrix.eliminate_zeros()
    matrix.sort_indices()
    for row in np.flatnonzero(np.diff(matrix.indptr) > width):
        values = matrix.data[matrix.indptr[row] : matrix.indptr[row + 1]]
        values[np.argsort(-values, kind="stable")[width:]] = 0
    matrix.eliminate_zeros()
    return matrix
