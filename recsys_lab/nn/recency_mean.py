"""The direction of a history: the mean of its items' vectors, where recent events count more."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from recsys_lab.nn.query import QueryModule


class RecencyMean(QueryModule):
    """Histories [B, T] → unit vectors [B, D]: each event counts half of one ``half_life`` events later.

    A history without any vector, an empty one above all, gives zeros. ``flagged`` vectors [B, D + 1] end with 1, or
    with 0 where there is no direction, for what is to be added to an item's score whoever asks.
    """

    inputs = ("items",)

    def __init__(
        self, vectors: NDArray[np.float32], *, half_life: float, max_history: int, flagged: bool = False
    ) -> None:
        super().__init__()
        self.vectors: Tensor
        self.register_buffer("vectors", torch.from_numpy(vectors))
        self.half_life = half_life
        self.max_history = max_history
        self.flagged = flagged

    def forward(self, items: Tensor) -> Tensor:
        recent = items[:, -self.max_history :]  # [B, T], the latest event last
        length = recent.shape[1]
        newer = (length - 1) - torch.arange(length, device=items.device)  # events after each place
        weights = torch.exp2(-newer.to(self.vectors.dtype) / self.half_life) * (recent >= 0)  # [B, T]
        known = nn.functional.embedding(recent.clamp(min=0), self.vectors)  # [B, T, D]
        total = (weights[:, None, :] @ known).squeeze(1)  # [B, D]
        direction = nn.functional.normalize(total, dim=1)
        if not self.flagged:
            return direction
        return torch.cat([direction, (total != 0).any(dim=1, keepdim=True).to(total.dtype)], dim=1)
