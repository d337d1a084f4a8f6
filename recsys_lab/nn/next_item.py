"""The losses of a sequence model behind one shape: positions, items, what came next → a number.

Shapes: N positions that ask, I items, S negatives, D width.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from recsys_lab.nn.item_table import Items
from recsys_lab.nn.losses import binary_cross_entropy, calibrated_trust, full_softmax, own_logits, sampled_softmax
from recsys_lab.nn.negatives import NegativeSampler

LOSSES = ("softmax", "sampled_softmax", "bce", "gbce")


class NextItemLoss(nn.Module):
    """The mean loss of ``hidden`` [N, D] when ``targets`` [N] are the right ones of ``items``."""

    needs_all: bool  # looks at every item's vector, so a step had better compute them once

    @abstractmethod
    def forward(self, hidden: Tensor, items: Items, targets: Tensor) -> Tensor: ...


class FullSoftmax(NextItemLoss):
    needs_all = True

    def forward(self, hidden: Tensor, items: Items, targets: Tensor) -> Tensor:
        return full_softmax(hidden, items.all(), targets)


class Scores(NamedTuple):
    """Logits of the right answers and of some wrong ones."""

    right: Tensor  # [N]
    wrong: Tensor  # [N, S]
    log_q: Tensor  # [S] or [N, S] log probability of each wrong one in a draw
    hits: Tensor  # [N, S] draws that are the right answer after all


class Sampled(NextItemLoss):
    """A loss against the draws of ``sampler``."""

    def __init__(self, sampler: NegativeSampler) -> None:
        super().__init__()
        self.sampler = sampler
        self.needs_all = not sampler.shared

    def forward(self, hidden: Tensor, items: Items, targets: Tensor) -> Tensor:
        drawn, log_q = self.sampler.draw(targets)
        wrong = hidden @ items(drawn).T if self.sampler.shared else own_logits(hidden, items.all(), drawn)
        right = (hidden * items(targets)).sum(-1)
        return self.compare(Scores(right, wrong, log_q, targets[:, None] == drawn))

    @abstractmethod
    def compare(self, scores: Scores) -> Tensor: ...


class SampledSoftmax(Sampled):
    """Without ``correct`` all draws weigh the same, however likely they were: popular items are held down more."""

    def __init__(self, sampler: NegativeSampler, correct: bool) -> None:
        super().__init__(sampler)
        self.correct = correct

    def compare(self, scores: Scores) -> Tensor:
        # uncorrected: as if the draws were all the items there are
        log_q = scores.log_q if self.correct else torch.full_like(scores.log_q, -math.log(self.sampler.size))
        return sampled_softmax(scores.right, scores.wrong, log_q, scores.hits)


class CalibratedBCE(Sampled):
    """Yes or no for each item; ``calibration`` 0 is plain binary cross-entropy, 1 is gBCE at its strictest."""

    def __init__(self, sampler: NegativeSampler, calibration: float) -> None:
        super().__init__(sampler)
        self.trust = calibrated_trust(sampler.size, sampler.n_items, calibration)

    def compare(self, scores: Scores) -> Tensor:
        return binary_cross_entropy(scores.right, scores.wrong, scores.hits, self.trust)


def next_item_loss(name: str, sampler: NegativeSampler, *, correct: bool, calibration: float) -> NextItemLoss:
    """The loss that ``name``, one of ``LOSSES``, stands for."""
    if name == "softmax":
        return FullSoftmax()
    if name == "sampled_softmax":
        return SampledSoftmax(sampler, correct)
    return CalibratedBCE(sampler, calibration if name == "gbce" else 0.0)
