"""A least-squares problem solved inside a graph: the user vector of a history, for ALS."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from recsys_lab.nn.query import QueryModule
from serving_min.queries import PADDING

TINY = 1e-20  # keeps 0 / 0 at 0 once the residual is gone, and for an empty history


class FoldIn(QueryModule):
    """Histories [B, T] → x [B, D] with (Σ_distinct y yᵀ + αG + λI) x = Σ_distinct y.

    ``vectors`` [I, D] must have a diagonal Gram matrix G. Then M = αG + λI is diagonal too, and
    with z = M^½ x and rows ỹ = M^-½ y the system is (1 + ỸᵀỸ) z = Ỹᵀ1, whose matrix has all
    but N eigenvalues at 1: conjugate gradients need few ``steps``, each two thin products.
    λ grows with the number of distinct items as in ``ALS``; α is ``unobserved_weight``.
    """

    inputs = ("items",)

    def __init__(
        self,
        vectors: NDArray[np.float32],
        *,
        n_items: int,
        regularization: float,
        unobserved_weight: float,
        frequency_scaling: float,
        max_history: int,
        steps: int,
    ) -> None:
        super().__init__()
        self.vectors: Tensor
        self.spectrum: Tensor
        self.register_buffer("vectors", torch.from_numpy(vectors))
        self.register_buffer("spectrum", torch.from_numpy(unobserved_weight * np.square(vectors).sum(axis=0)))
        self.unobserved = unobserved_weight * n_items
        self.regularization = regularization
        self.frequency_scaling = frequency_scaling
        self.max_history = max_history
        self.steps = steps

    def forward(self, items: Tensor) -> Tensor:
        ordered = items[:, -self.max_history :].sort(dim=1).values  # [B, T]
        before = nn.functional.pad(ordered[:, :-1], (1, 0), value=PADDING)
        counts = (ordered != before).to(self.vectors.dtype)  # 1 for the first of equal items; padding sorts first
        ridge = self.regularization * (counts.sum(dim=1, keepdim=True) + self.unobserved) ** self.frequency_scaling
        scale = torch.rsqrt(self.spectrum + ridge)  # [B, D] M^-½
        known = nn.functional.embedding(ordered.clamp(min=0), self.vectors)  # [B, T, D]
        seen = known * scale[:, None, :] * counts[:, :, None]

        z = torch.zeros_like(scale)
        residual = seen.sum(dim=1)  # [B, D]
        direction = residual
        error = residual.square().sum(dim=1, keepdim=True)  # [B, 1]
        for _ in range(self.steps):
            along = (seen @ direction[:, :, None]).squeeze(2)  # [B, T]
            image = direction + (along[:, None, :] @ seen).squeeze(1)
            step = error / (direction * image).sum(dim=1, keepdim=True).clamp(min=TINY)
            z = z + step * direction
            residual = residual - step * image
            left = residual.square().sum(dim=1, keepdim=True)
            direction = residual + left / error.clamp(min=TINY) * direction
            error = left
        return z * scale
