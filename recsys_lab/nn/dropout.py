"""Dropout whose coin tosses cost little on a processor."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Dropout(nn.Module):
    """``nn.Dropout`` with one random byte per element, eight bytes to each draw.

    torch draws a number per element, which took an eighth of a training step of SASRec; this
    takes a tenth of that. The share dropped is ``share`` rounded to 1/256, but never all, and the rest
    is scaled to match. On other devices, and in evaluation, it is torch's own.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.below = min(255, round(share * 256))

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.below == 0 or x.device.type != "cpu":
            return functional.dropout(x, self.share, self.training)
        draws = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        # all in floats: comparing, and multiplying by what came out, takes torch ten times as long
        numbers = draws.view(torch.uint8)[: x.numel()].view(x.shape).float()
        kept = numbers.sub_(self.below - 1).clamp_(0, 1)  # bytes from ``below`` up stay
        return x * kept.mul_(256 / (256 - self.below))
