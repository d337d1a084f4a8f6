"""The direction of a history: the mean of its items' vectors, where recent events count more."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from recsys_lab.nn.histories import inside, newer_at
from recsys_lab.nn.query import QueryModule


class RecencyMean(QueryModule):
    """Histories [B, T] of [N] events → unit vectors [B, D]: each event counts half of one ``half_life`` events later.

    A history without any vector gives zeros. ``flagged`` vectors [B, D + 1] end with 1, or with 0 where there is no
    direction, for what is to be added to an item's score whoever asks.
    """

    inputs = ("items", "places")

    def __init__(self, vectors: NDArray[np.float32], *, half_life: float, flagged: bool = False) -> None:
        super().__init__()
        self.vectors: Tensor
        self.register_buffer("vectors", torch.from_numpy(vectors))
        self.half_life = half_life
        self.flagged = flagged

    def forward(self, items: Tensor, places: Tensor) -> Tensor:
        newer = newer_at(places).to(self.vectors.dtype)
        weights = torch.exp2(-newer / self.half_life) * (places >= 0)  # [B, T]
        known = nn.functional.embedding(items[inside(places)], self.vectors)  # [B, T, D]
        total = (weights[:, None, :] @ known).squeeze(1)  # [B, D]
        direction = nn.functional.normalize(total, dim=1)
        if not self.flagged:
            return direction
        return torch.cat([direction, (total != 0).any(dim=1, keepdim=True).to(total.dtype)], dim=1)
