"""A query as the mean of what the history's items say of a user, for BPR."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from recsys_lab.nn.histories import inside
from recsys_lab.nn.query import QueryModule


class HistoryMean(QueryModule):
    """Histories [B, T] of [N] events → [B, D + 1]: the mean of their ``vectors`` [I, D], then 1 for the item's bias."""

    inputs = ("items", "places")

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        super().__init__()
        self.vectors: Tensor
        self.register_buffer("vectors", torch.from_numpy(vectors))

    def forward(self, items: Tensor, places: Tensor) -> Tensor:
        real = (places >= 0).to(self.vectors.dtype)  # [B, T]
        count = real.sum(dim=1, keepdim=True)
        known = nn.functional.embedding(items[inside(places)], self.vectors)  # [B, T, D]
        total = (real[:, None, :] @ known).squeeze(1)  # [B, D]
        return torch.cat([total / count, torch.ones_like(count)], dim=1)
