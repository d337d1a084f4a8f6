"""A neighbour model whose item × item matrix is sparse: what it keeps on disk."""

from __future__ import annotations

from scipy import sparse

from recsys_lab.models.base import Arrays, NeighbourModel


class TableModel(NeighbourModel):
    """``_fit`` sets ``weights``; saving and loading are done here."""

    weights: sparse.csr_array  # [I, I], float32; row = item of the history, column = item recommended

    def item_weights(self) -> sparse.csr_array:
        return self.weights

    def _arrays(self) -> Arrays:
        return {"offsets": self.weights.indptr, "items": self.weights.indices, "weights": self.weights.data}

    def _restore(self, arrays: Arrays) -> None:
        items = len(self.catalogue)
        self.weights = sparse.csr_array((arrays["weights"], arrays["items"], arrays["offsets"]), shape=(items, items))
