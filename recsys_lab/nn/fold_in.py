"""A least-squares problem solved inside a graph: the user vector of a history, for ALS."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from recsys_lab.nn.histories import inside
from recsys_lab.nn.query import QueryModule
from serving_min.queries import PADDING

TINY = 1e-20  # keeps 0 / 0 at 0 once the residual is gone


class FoldIn(QueryModule):
    """Histories [B, T] of [N] events → x [B, D] with (Σ_distinct y yᵀ + αG + λI) x = Σ_distinct y.

    ``vectors`` [I, D] must have a diagonal Gram matrix G. Then M = αG + λI is diagonal too, and
    with z = M^½ x and rows ỹ = M^-½ y the system is (1 + ỸᵀỸ) z = Ỹᵀ1, whose matrix has all
    but N eigenvalues at 1: conjugate gradients need few ``steps``, each two thin products.
    λ grows with the number of distinct items as in ``ALS``; α is ``unobserved_weight``.
    """

    inputs = ("items", "places")

    def __init__(
        self,
        vectors: NDArray[np.float32],
        *,
        n_items: int,
        regularization: float,
        unobserved_weight: float,
        frequency_scaling: float,
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
        self.steps = steps

    def forward(self, items: Tensor, places: Tensor) -> Tensor:
        ordered = torch.where(places >= 0, items[inside(places)], PADDING).sort(dim=1, descending=True).values
        before = nn.functional.pad(ordered[:, :-1], (1, 0), value=PADDING)
        # 1 for the first of equal items; padding comes last, so that a longer one adds zeros at the end of each sum
        counts = ((ordered != before) & (ordered >= 0)).to(self.vectors.dtype)  # [B, T]
        ridge = self.regularization * (counts.sum(dim=1, keepdim=True) + self.unobserved) ** self.frequency_scaling
        scale = torch.rsqrt(self.spectrum + ridge)  # [B, D] M^-½
        known = nn.functional.embedding(ordered.clamp(min=0), self.vectors)  # [B, T, D]
        seen = known * scale[:, None, :] * counts[:, :, None]

        z = torch.zeros_like(scale)
        residual = seen.sum(dim=1)  # [B, D]
        direction = residual
        error = _dots(residual, residual)  # [B, 1]
        for _ in range(self.steps):
            along = (seen @ direction[:, :, None]).squeeze(2)  # [B, T]
            image = direction + (along[:, None, :] @ seen).squeeze(1)
            step = error / _dots(direction, image).clamp(min=TINY)
            z = z + step * direction
            residual = residual - step * image
            left = _dots(residual, residual)
            direction = residual + left / error.clamp(min=TINY) * direction
            error = left
        return z * scale


def _dots(first: Tensor, second: Tensor) -> Tensor:
    """Inner products of rows [B, D], [B, 1]. onnxruntime's own sums of rows depend on where a row lies in memory."""
    return (first[:, None, :] @ second[:, :, None])[:, :, 0]
