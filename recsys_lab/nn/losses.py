"""The losses of next-item prediction, each against the whole catalogue or an honest estimate of it.

Shapes: N positions or examples, D width, I items, S sampled items.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

# Logits that are alive at once. On a processor they should stay in its cache; a GPU wants large products.
LOGITS_ON_CPU, LOGITS_ON_GPU = 1 << 20, 1 << 26
FEWEST_ROWS = 64


def full_softmax(hidden: Tensor, table: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of ``hidden @ table.T`` [N, I] against ``targets`` [N], without ever holding it.

    The gradient of this loss is known while the logits are at hand, so it is computed with them,
    a few rows at a time in one reused buffer. Fresh [N, I] buffers cost a plain implementation a
    third of its time in page faults and most of its memory.
    """
    loss: Tensor = _FullSoftmax.apply(hidden.to(table.dtype), table, targets)  # type: ignore[no-untyped-call]
    return loss


class _FullSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, table: Tensor, targets: Tensor) -> Tensor:
        logits_at_once = LOGITS_ON_CPU if hidden.device.type == "cpu" else LOGITS_ON_GPU
        rows = min(len(hidden), max(FEWEST_ROWS, logits_at_once // len(table)))
        buffer = hidden.new_empty(rows, len(table))
        to_hidden = torch.empty_like(hidden)
        to_table = torch.zeros_like(table)
        loss = hidden.new_zeros(())
        tame = _powers_are_finite(hidden, table)
        for start in range(0, len(hidden), rows):
            some, wanted = hidden[start : start + rows], table[targets[start : start + rows]]
            # to base 2, whose powers torch computes in two thirds of the time
            logits = torch.mm(some / math.log(2), table.T, out=buffer[: len(some)])
            highest = 0.0 if tame else logits.amax(1, keepdim=True)
            odds = (logits if tame else logits.sub_(highest)).exp2_()
            total = odds.sum(1, keepdim=True)
            loss += (total.log2() + highest).sum() * math.log(2) - (some * wanted).sum()
            # d loss / d logits = softmax - one-hot; dividing the narrow side by the total spares a pass over odds
            part = to_hidden[start : start + rows]
            torch.mm(odds, table, out=part)
            part.div_(total).sub_(wanted)
            to_table.addmm_(odds.T, some / total)
        to_table.index_add_(0, targets, hidden, alpha=-1)
        ctx.save_for_backward(to_hidden.div_(len(hidden)), to_table.div_(len(hidden)))
        return loss / len(hidden)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        to_hidden, to_table = ctx.saved_tensors
        return to_hidden * gradient, to_table * gradient, None


def _powers_are_finite(hidden: Tensor, table: Tensor) -> bool:
    """Whether the sum of 2 ** logit stays far from overflow without taking the largest from each.

    No logit exceeds the product of two lengths (Cauchy-Schwarz), which spares two passes over all of them.
    """
    largest = float(hidden.norm(dim=1).amax() * table.norm(dim=1).amax()) / math.log(2)
    return largest + math.log2(len(table)) < 0.75 * math.log2(torch.finfo(table.dtype).max)


def sampled_softmax(positive: Tensor, sampled: Tensor, log_q: Tensor, hits: Tensor) -> Tensor:
    """Mean cross-entropy of ``positive`` [N] logits against ``sampled`` [N, S] ones, as if against all items.

    The S items were drawn with probabilities whose logarithms are ``log_q`` [S]; ``hits`` [N, S] marks
    draws that are the row's own target. Without them, exp(logit) / (S q) summed over the draws is an
    unbiased estimate of the rest of the softmax's denominator (Bengio & Senécal 2008, section 3;
    used within a batch by Yi et al. 2019, section 3.2). The target itself was not drawn, so it is not corrected.
    """
    corrected = sampled - (log_q + math.log(sampled.shape[1]))
    logits = torch.cat([positive[:, None], corrected.masked_fill(hits, -torch.inf)], dim=1)
    return functional.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.long))


def binary_cross_entropy(positive: Tensor, sampled: Tensor, hits: Tensor, trust: float = 1.0) -> Tensor:
    """Mean over the right answers [N] and the ``sampled`` wrong ones [N, S] of how surely each is misjudged.

    With few negatives this overrates every item. Raising the positive's sigmoid to the power ``trust`` below
    1 undoes it (gBCE: Petrov & Macdonald, "gSASRec", RecSys 2023, equation 9); see ``calibrated_trust``.
    """
    wrong = functional.softplus(sampled).masked_fill(hits, 0)
    loss: Tensor = (trust * functional.softplus(-positive) + wrong.sum(1)).mean() / (1 + sampled.shape[1])
    return loss


def calibrated_trust(sampled: int, items: int, calibration: float) -> float:
    """gBCE's power β for ``sampled`` of ``items`` - 1 wrong answers (same paper, equation 10).

    ``calibration`` t runs from 0, plain BCE, to 1, where scores become log-odds of the true probabilities.
    """
    rate = min(1.0, sampled / max(1, items - 1))
    return rate * (calibration * (1 - 1 / rate) + 1 / rate)


def own_logits(hidden: Tensor, table: Tensor, codes: Tensor) -> Tensor:
    """``hidden`` [N, D] times the rows of ``table`` [I, D] that ``codes`` [N, S] names, [N, S].

    The N × S vectors are gathered a few positions at a time, forwards and again backwards.
    """
    logits: Tensor = _OwnLogits.apply(hidden, table, codes)  # type: ignore[no-untyped-call]
    return logits


class _OwnLogits(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, table: Tensor, codes: Tensor) -> Tensor:
        ctx.save_for_backward(hidden, table, codes)
        logits = hidden.new_empty(codes.shape)
        for some in _pieces(codes, table.shape[1]):
            torch.bmm(table[codes[some]], hidden[some, :, None], out=logits[some, :, None])
        return logits

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        hidden, table, codes = ctx.saved_tensors
        to_hidden, to_table = torch.empty_like(hidden), torch.zeros_like(table)
        for some in _pieces(codes, table.shape[1]):
            torch.bmm(gradient[some, None], table[codes[some]], out=to_hidden[some, None])
            pulls = gradient[some, :, None] * hidden[some, None]
            to_table.index_add_(0, codes[some].flatten(), pulls.flatten(0, 1))
        return to_hidden, to_table, None


def _pieces(codes: Tensor, width: int) -> list[slice]:
    """Slices of positions whose vectors together hold about ``LOGITS_ON_CPU`` numbers."""
    limit = LOGITS_ON_CPU if codes.device.type == "cpu" else LOGITS_ON_GPU
    rows = max(1, limit // (codes.shape[1] * width))
    return [slice(start, start + rows) for start in range(0, len(codes), rows)]
