"""Training batches of single questions: an event that came next, and the history before it.

Shapes: B batch, T the longest history of the batch, A attributes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recsys_lab.data.log import InteractionLog
from recsys_lab.nn.sequences import left_padded
from serving_min.queries import PADDING

BATCHES_PER_POOL = 16


class Examples(NamedTuple):
    """Histories as a query would see them, and the one item that came next."""

    items: Tensor  # [B, T]
    events: Tensor  # [B, T]
    ages: Tensor  # [B, T] seconds before ``now``
    now: Tensor  # [B] epoch seconds of the event to predict
    attributes: Tensor  # [B, A]
    targets: Tensor  # [B]


@dataclass
class ExampleBatches:
    """One pass per ``iter``: up to ``per_user`` random events of each user, each with the history before it.

    The history stops strictly before the event's second, as a query's does: what is bought together is
    not known before. An event without a history is never asked for, nor one that ``skip`` [N] marks.
    Histories of similar length share a batch (sorted within shuffled pools), so little work goes into
    padding. Pass number p is shuffled by (seed, p): two runs see the same batches.
    """

    log: InteractionLog
    length: int
    batch_size: int
    seed: int
    per_user: int
    skip: NDArray[np.bool_] | None = None
    passes: int = 0

    def __post_init__(self) -> None:
        users, times = self.log.users, self.log.times
        first_of_second = np.ones(len(self.log), np.bool_)
        first_of_second[1:] = (np.diff(users) != 0) | (np.diff(times) != 0)
        self.ends = np.maximum.accumulate(np.where(first_of_second, np.arange(len(self.log)), 0))  # [N]
        asked = self.ends > self.log.offsets[users]
        if self.skip is not None:
            asked &= ~self.skip
        self.asked = np.flatnonzero(asked)
        _, self.sizes = np.unique(users[self.asked], return_counts=True)

    def __len__(self) -> int:
        return -(-int(np.minimum(self.sizes, self.per_user).sum()) // self.batch_size)

    def __iter__(self) -> Iterator[Examples]:
        rng = np.random.default_rng([self.seed, self.passes])
        self.passes += 1
        # shuffled within each user; the first ``per_user`` of each are this pass's
        shuffled = self.asked[np.lexsort((rng.random(len(self.asked)), self.log.users[self.asked]))]
        rank = np.arange(len(shuffled)) - np.repeat(np.cumsum(self.sizes) - self.sizes, self.sizes)
        chosen = rng.permutation(shuffled[rank < self.per_user])
        lengths = np.minimum(self.ends - self.log.offsets[self.log.users], self.length)
        pool = self.batch_size * BATCHES_PER_POOL
        for start in range(0, len(chosen), pool):
            some = chosen[start : start + pool]
            some = some[np.argsort(lengths[some], kind="stable")]
            batches = [some[at : at + self.batch_size] for at in range(0, len(some), self.batch_size)]
            for batch in rng.permutation(len(batches)):
                yield self._batch(batches[batch])

    def _batch(self, at: NDArray[np.int64]) -> Examples:
        log, ends = self.log, self.ends[at]
        users, now = log.users[at], log.times[at]
        starts = np.maximum(log.offsets[users], ends - self.length)
        items = left_padded(log.items, starts, ends)
        ages = np.where(items == PADDING, 0, now[:, None] - left_padded(log.times, starts, ends))
        return Examples(
            items=_codes(items),
            events=_codes(left_padded(log.events, starts, ends)),
            ages=torch.from_numpy(ages.astype(np.float32)),
            now=_codes(now),
            attributes=_codes(log.attributes[users]),
            targets=_codes(log.items[at]),
        )


def _codes(values: NDArray[Any]) -> Tensor:
    return torch.from_numpy(values.astype(np.int64))
