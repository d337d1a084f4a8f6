"""Training a network to put the hits of each question first.

Cao et al., "Learning to rank: from pairwise approach to listwise approach", ICML 2007, §4: the cross-entropy between
the hits and a softmax over all candidates of the question (ListNet's top-one loss).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recsys_lab.nn.ranking import RankingNetwork
from serving_min.queries import PADDING


def train_listwise(
    network: RankingNetwork,
    given: dict[str, list[NDArray[np.generic]]],
    hits: list[NDArray[np.bool_]],
    *,
    epochs: int,
    learning_rate: float,
    weight_decay: float,
    batch_size: int,
) -> list[float]:
    """The mean loss of each epoch. ``given`` holds for each name of ``network.inputs`` an array for each of the
    questions that ``hits`` [Q arrays of C flags] answers. The learning rate falls to 0 in a straight line."""
    adam = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=weight_decay)
    batches = -(-len(hits) // batch_size)
    falling = torch.optim.lr_scheduler.LinearLR(adam, 1.0, 0.0, epochs * batches)
    losses = []
    network.train()
    for _ in range(epochs):
        total, order = 0.0, torch.randperm(len(hits)).tolist()
        for start in range(0, len(hits), batch_size):
            chosen = order[start : start + batch_size]
            inputs = [padded([given[name][question] for question in chosen]) for name in network.inputs]
            wanted = padded([hits[question].astype(np.int64) for question in chosen])
            scores = network(*inputs).masked_fill(wanted < 0, -torch.inf)
            likely = scores.log_softmax(1).masked_fill(wanted <= 0, 0)
            loss = -(likely.sum(1) / (wanted > 0).sum(1)).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
            falling.step()
            total += float(loss.detach()) * len(chosen)
        losses.append(total / len(hits))
    network.eval()
    return losses


def padded(arrays: list[NDArray[np.generic]]) -> Tensor:
    """Arrays [n, …] of one kind as one tensor [Q, max n, …]: integers are padded with -1, numbers with 0."""
    tensors = [torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]
    filler = 0 if tensors[0].is_floating_point() else PADDING
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=filler)
