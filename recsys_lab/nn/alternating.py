"""One side of a weighted factorisation solved given the other, all rows at once.

Each row of a sparse matrix has its own D × D system. None of them is ever formed: conjugate gradients
need only sums over the touched pairs, which a sparse product makes for all rows together (Takács, Pilászy
& Tikk, "Applications of the conjugate gradient method for implicit feedback CF", RecSys 2011).
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

TINY = 1e-20  # keeps 0 / 0 at 0 for a row without entries, and once its residual is gone


class HalfStep:
    """Improves the R row vectors x of ``matrix`` [R, C], whose N entries are weights c, given column vectors y:

        Σ_entries c (x·y - 1)² + α Σ_columns (x·y)² + ``ridge`` ‖x‖²

    ``scores`` [N] are the x·y of the entries; they are carried along, so that no step computes them anew.
    The other side has the same entries transposed: its scores in our order are ``scores[order]``.
    """

    def __init__(self, matrix: sparse.csr_array, ridge: NDArray[np.float32]) -> None:
        self.shape = matrix.shape
        index = np.int32 if matrix.nnz <= np.iinfo(np.int32).max else np.int64  # other widths would be copied each time
        self.offsets = torch.from_numpy(matrix.indptr.astype(index))
        self.columns = torch.from_numpy(matrix.indices.astype(index))
        self.weights = torch.from_numpy(matrix.data)
        self.order = torch.from_numpy(np.argsort(matrix.indices, kind="stable")).argsort()
        self.ridge = torch.from_numpy(ridge)[:, None]
        self.pattern = self._matrix(torch.zeros_like(self.weights))
        self.column_weights = torch.zeros(matrix.shape[1]).index_add_(0, self.columns, self.weights)

    def improve(self, x: Tensor, y: Tensor, scores: Tensor, unobserved_weight: float, steps: int) -> None:
        """``steps`` of conjugate gradients; x [R, D] and ``scores`` [N] are overwritten.

        The rows differ mostly in how much they hold, so one matrix is a fair guess at all their systems:
        the mean one. Preconditioned with its inverse, two steps come as close as ten without.
        """
        gram = unobserved_weight * (y.T @ y)
        observed = (self.column_weights[:, None] * y).T @ y / len(x)
        guess = torch.linalg.inv(gram + observed + self.ridge.mean() * torch.eye(y.shape[1]))
        direction, error = torch.zeros_like(x), torch.ones_like(self.ridge)
        for _ in range(steps):
            residual = self._matrix(self.weights * (1 - scores)) @ y - x @ gram - self.ridge * x
            better = residual @ guess
            left = (residual * better).sum(dim=1, keepdim=True)
            direction = better + left / error.clamp(min=TINY) * direction
            error = left
            along = torch.sparse.sampled_addmm(self.pattern, direction, y.T, beta=0.0).values()  # [N]
            curvature = (direction * (direction @ gram + self.ridge * direction)).sum(dim=1)
            curvature += torch.segment_reduce(self.weights * along.square(), "sum", offsets=self.offsets)
            length = (residual * direction).sum(dim=1, keepdim=True) / curvature.clamp(min=TINY)[:, None]
            x += length * direction
            scores += along.mul_(length[:, 0].repeat_interleave(self.offsets.diff(), output_size=len(scores)))

    def _matrix(self, values: Tensor) -> Tensor:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
            return torch.sparse_csr_tensor(self.offsets, self.columns, values, size=self.shape, check_invariants=False)
