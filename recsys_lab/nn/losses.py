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
        for start in range(0, len(hidden), rows):
            some, wanted = hidden[start : start + rows], table[targets[start : start + rows]]
            # to base 2, whose powers torch computes in two thirds of the time
            logits = torch.mm(some / math.log(2), table.T, out=buffer[: len(some)])
            highest = logits.amax(1, keepdim=True)
            odds = logits.sub_(highest).exp2_()
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


def sampled_softmax(positive: Tensor, sampled: Tensor, log_q: Tensor, hits: Tensor) -> Tensor:
    """Mean cross-entropy of ``positive`` [N] logits against ``sampled`` [N, S] ones, as if against all items.

    The S items were drawn with probabilities whose logarithms are ``log_q`` [S]; ``hits`` [N, S] marks
    draws that are the row's own target. Without them, exp(logit) / (S q) summed over the draws is an
    unbiased estimate of the rest of the softmax's denominator (Bengio & Senécal 2008, section 3;
    used within a batch by Yi et al. 2019, section 3.2). The target itself was not drawn, so it is not corrected.
    """
    corrected = sampled - (log_q + math.log(len(log_q)))
    logits = torch.cat([positive[:, None], corrected.masked_fill(hits, -torch.inf)], dim=1)
    return functional.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.long))
