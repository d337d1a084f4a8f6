"""SLIM: sparse, non-negative item-item weights that best rebuild every history from its other items.

Ning & Karypis, "SLIM: sparse linear methods for top-N recommender systems", ICDM 2011, eq. 5, with the
choice of features beforehand of §4.3. Everything the problem needs is in the items' Gram matrix.

Shapes: I items, K neighbours, B items solved together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.fold import Fold
from recsys_lab.data.log import Counts, InteractionLog
from recsys_lab.errors import ConfigError, ModelError
from recsys_lab.models.gram import gram_matrix
from recsys_lab.models.table import TableModel
from serving_min.rerank import top_k

NUMBERS_PER_BLOCK = 1 << 22  # of the blocks' own Gram matrices


class SLIM(TableModel):
    """For each item x the weights w ≥ 0 of other items X that minimise

        ½ ‖x - X w‖² + ½ ``l2`` ‖w‖² + ``l1`` Σ w

    among its ``neighbours`` items of greatest cosine (K), by ``sweeps`` of coordinate descent.
    ``counts`` says what stands in the users × items matrix, as in ``InteractionLog.matrix``. Memory
    grows with I²: ``fit`` raises ModelError rather than take more than ``max_memory_gb``.
    """

    def __init__(
        self,
        *,
        l1: float = 1.0,
        l2: float = 50.0,
        neighbours: int = 100,
        sweeps: int = 20,
        counts: Counts = "binary",
        max_memory_gb: float = 8.0,
    ) -> None:
        for name, value in (("l1", l1), ("neighbours", neighbours - 1), ("sweeps", sweeps - 1)):
            if not value >= 0:
                raise ConfigError(f"{name}: {value if name == 'l1' else value + 1} cannot work; use a larger number")
        if not l2 > 0:
            raise ConfigError(f"l2: {l2} leaves items that always go together without an answer; use a positive number")
        self.l1 = l1
        self.l2 = l2
        self.neighbours = neighbours
        self.sweeps = sweeps
        self.counts: Counts = counts
        self.max_memory_gb = max_memory_gb

    def _fit(self, train: InteractionLog, catalogue: Catalogue, valid: Fold | None) -> None:
        needed = train.n_items**2 * 4 * 2 / 1e9  # the Gram matrix and a copy of it, ordered
        if needed > self.max_memory_gb:
            raise ModelError(
                f"slim: {train.n_items} items need {needed:.1f} GB, more than max_memory_gb={self.max_memory_gb}; "
                "raise it, drop rare items (k-core), or use itemknn"
            )
        gram = gram_matrix(train.matrix(self.counts))
        width = min(self.neighbours, train.n_items)
        height = max(1, NUMBERS_PER_BLOCK // width**2)
        blocks = [
            self._solve(gram, np.arange(start, min(start + height, train.n_items)), width)
            for start in range(0, train.n_items, height)
        ]
        self.weights = sparse.vstack(blocks).T.tocsr()  # row = item of the history

    def _solve(self, gram: NDArray[np.float32], items: NDArray[np.int64], width: int) -> sparse.csr_array:
        """The weights [B, I] that rebuild the given items, all at once: row = item rebuilt."""
        norms = np.sqrt(np.diag(gram))
        together = gram[items]
        cosines = np.divide(together, norms, out=np.full_like(together, -np.inf), where=together > 0)
        cosines[np.arange(len(items)), items] = -np.inf
        near = top_k(cosines, width).items  # [B, K], -1 where fewer items were ever met
        known = near >= 0
        own = gram[near[:, :, None], near[:, None, :]] * (known[:, :, None] & known[:, None, :])  # [B, K, K]
        wanted = np.take_along_axis(together, np.maximum(near, 0), axis=1) * known  # [B, K]
        scale = np.diagonal(own, axis1=1, axis2=2)  # [B, K]
        weights = np.zeros((len(items), width), np.float32)
        rebuilt = np.zeros_like(weights)  # own @ weights, kept up to date
        for _ in range(self.sweeps):
            for place in range(width):
                left = wanted[:, place] - rebuilt[:, place] + scale[:, place] * weights[:, place]
                better = np.maximum(left - self.l1, 0) / (scale[:, place] + self.l2)
                rebuilt += (better - weights[:, place])[:, None] * own[:, place]
                weights[:, place] = better
        rows, places = np.nonzero(weights)
        shape = (len(items), len(gram))
        return sparse.csr_array((weights[rows, places], (rows, near[rows, places])), shape=shape)
