"""Training batches cut from the log: stretches of one user's consecutive events, left-padded.

Shapes: S stretches, B batch, T the longest history of the batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recsys_lab.data.log import InteractionLog
from serving_min.queries import PADDING

BATCHES_PER_POOL = 256  # of 32, one position in eight would be padding on Amazon Beauty; of 256, one in fifty


class Windows(NamedTuple):
    """Histories and, at each of their events, the item that came next (-1: not asked)."""

    items: Tensor  # [B, T]
    events: Tensor  # [B, T]
    targets: Tensor  # [B, T]
    gaps: Tensor  # [B, T] seconds until the item that came next


def left_padded(values: NDArray[Any], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[Any]:
    """Row s holds ``values[starts[s]:ends[s]]`` at its right end and -1 before it, [S, longest]."""
    source = ends[:, None] - np.arange(int((ends - starts).max(initial=0)), 0, -1)
    return np.where(source >= starts[:, None], values[source], PADDING)


def cut(offsets: NDArray[np.int64], length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Stretches [start, end) of at most ``length`` + 1 events that ask for every event but a user's first.

    They are cut from each user's end, and the last event of one is the first of the next: inputs are
    all events but the last, targets all but the first. Users with one event give none.
    """
    steps = np.maximum(np.diff(offsets) - 1, 0)
    pieces = -(-steps // length)
    first = np.concatenate([[0], pieces.cumsum()])[:-1]
    order = np.arange(pieces.sum()) - np.repeat(first, pieces)  # 0 = the user's latest stretch
    ends = np.repeat(offsets[1:], pieces) - order * length
    return np.maximum(ends - length - 1, np.repeat(offsets[:-1], pieces)), ends


def seen_before(log: InteractionLog) -> NDArray[np.bool_]:
    """Which events repeat an item of the same user's past, [N]."""
    keys = log.users.astype(np.int64) * log.n_items + log.items
    repeats = np.ones(len(log), np.bool_)
    repeats[np.unique(keys, return_index=True)[1]] = False
    return repeats


@dataclass
class WindowBatches:
    """One pass per ``iter``: every event but each user's first is a target once.

    Histories of similar length share a batch (sorted within shuffled pools), so little work goes
    into padding. Pass number p is shuffled by (seed, p): two runs see the same batches.
    ``skip`` [N] marks events that are history only.
    """

    log: InteractionLog
    length: int
    batch_size: int
    seed: int
    skip: NDArray[np.bool_] | None = None
    passes: int = 0
    starts: NDArray[np.int64] = field(init=False)
    ends: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.starts, self.ends = cut(self.log.offsets, self.length)
        self.gaps = np.diff(self.log.times, append=0).astype(np.float32)
        self.wanted = self.log.items.astype(np.int64)
        if self.skip is not None:
            self.wanted[self.skip] = PADDING
            asked = np.concatenate([[0], (~self.skip).cumsum()])
            some = asked[self.ends] > asked[self.starts + 1]
            self.starts, self.ends = self.starts[some], self.ends[some]

    def __len__(self) -> int:
        return -(-len(self.starts) // self.batch_size)

    @property
    def positions(self) -> int:
        """How many events one pass asks for."""
        asked = np.concatenate([[0], (self.wanted != PADDING).cumsum()])
        return int((asked[self.ends] - asked[self.starts + 1]).sum())

    def __iter__(self) -> Iterator[Windows]:
        rng = np.random.default_rng([self.seed, self.passes])
        self.passes += 1
        order = rng.permutation(len(self.starts))
        pool = self.batch_size * BATCHES_PER_POOL
        for start in range(0, len(order), pool):
            rows = order[start : start + pool]
            rows = rows[np.argsort((self.ends - self.starts)[rows], kind="stable")]
            batches = [rows[at : at + self.batch_size] for at in range(0, len(rows), self.batch_size)]
            for batch in rng.permutation(len(batches)):
                yield self._batch(batches[batch])

    def _batch(self, rows: NDArray[np.int64]) -> Windows:
        starts, ends = self.starts[rows], self.ends[rows]
        return Windows(
            items=_tensor(left_padded(self.log.items, starts, ends - 1)),
            events=_tensor(left_padded(self.log.events, starts, ends - 1)),
            targets=_tensor(left_padded(self.wanted, starts + 1, ends)),
            gaps=torch.from_numpy(left_padded(self.gaps, starts, ends - 1)),
        )


def _tensor(codes: NDArray[Any]) -> Tensor:
    return torch.from_numpy(codes.astype(np.int64))
