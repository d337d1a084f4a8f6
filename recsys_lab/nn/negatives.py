"""Items that a training step takes as wrong answers, and how likely each was to be taken."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class NegativeSampler(nn.Module):
    """Draws items in proportion to ``counts ** power``, with replacement, for a whole batch at once.

    Power 1 draws as the data do, 0 uniformly among the items with an event; between them rare items
    are met often enough to learn where they do not belong. Draws follow torch's own random state,
    which the training seeds.
    """

    log_q: Tensor  # [I] log probability of each item in one draw, -inf for items without an event
    _cumulative: Tensor  # [I]

    def __init__(self, counts: NDArray[np.int64], power: float) -> None:
        super().__init__()
        weights = np.where(counts > 0, np.maximum(counts, 1).astype(np.float64) ** power, 0.0)
        shares = weights / weights.sum()
        with np.errstate(divide="ignore"):
            self.register_buffer("log_q", torch.from_numpy(np.log(shares).astype(np.float32)), persistent=False)
        self.register_buffer("_cumulative", torch.from_numpy(shares.cumsum()), persistent=False)

    def draw(self, size: int) -> Tensor:
        """``size`` item codes, [size] int64."""
        points = torch.rand(size, dtype=torch.float64, device=self._cumulative.device) * self._cumulative[-1]
        return torch.searchsorted(self._cumulative, points, right=True).clamp_(max=len(self._cumulative) - 1)
