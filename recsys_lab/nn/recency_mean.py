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

    A history without any vector gives zeros.
    """

    inputs = ("items", "places")

    def __init__(self, vectors: NDArray[np.float32], *, half_life: float) -> None:
        super().__init__()
        self.vectors: Tensor
        self.register_buffer("vectors", torch.from_numpy(vectors))
        self.half_life = half_life

    def forward(self, items: Tensor, places: Tensor) -> Tensor:
        newer = newer_at(places).to(self.vectors.dtype)
        weights = torch.exp2(-newer / self.half_life) * (places >= 0)  # [B, T]
        known = nn.functional.embedding(items[inside(places)], self.vectors)  # [B, T, D]
        total = (weights[:, None, :] @ known).squeeze(1)  # [B, D]
        return nn.functional.normalize(total, dim=1)
