"""The vectors of a bundle's items, as they lie in the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]
Numbers = NDArray[np.float32]
BLOCK = 1 << 20  # rows that are looked at in one go


@dataclass(frozen=True)
class ItemVectors:
    """C rows of D numbers: float32, or 8 bits each, where n in column d stands for ``low[d] + n * step[d]``."""

    stored: NDArray[Any]  # [C, D] float32 or uint8
    low: Numbers | None = None  # [D]
    step: Numbers | None = None  # [D]

    def __len__(self) -> int:
        return len(self.stored)

    @property
    def width(self) -> int:
        """D."""
        return int(self.stored.shape[1])

    def rows(self, places: Places | slice) -> Numbers:
        """The vectors at ``places``, [.., D]."""
        return self._meant(self.stored[places])

    def scores(self, places: Places, queries: Numbers) -> Numbers:
        """Inner products of each query [Q, D] with the rows at its ``places`` [Q, F].

        einsum sums each row by itself, so a score does not depend on its neighbours as in BLAS.
        """
        found = self.stored[places]
        if self.low is None or self.step is None:
            scores: Numbers = np.einsum("qfd,qd->qf", found, queries)
            return scores
        scaled: Numbers = np.einsum("qfd,qd->qf", found.astype(np.float32), queries * self.step)
        return scaled + np.einsum("qd,d->q", queries, self.low)[:, None]

    def all_scores(self, query: Numbers) -> Numbers:
        """Inner products of one query [D] with every row, [C]."""
        return np.concatenate([np.einsum("cd,d->c", block, query) for block in self.blocks()])

    @cached_property
    def norms(self) -> Numbers:
        """The length of each row, [C]."""
        return np.concatenate([np.sqrt(np.einsum("cd,cd->c", block, block)) for block in self.blocks()])

    def blocks(self) -> Iterator[Numbers]:
        """All rows in order, some at a time."""
        for start in range(0, max(1, len(self)), BLOCK):
            yield self.rows(slice(start, start + BLOCK))

    def _meant(self, stored: NDArray[Any]) -> Numbers:
        if self.low is None or self.step is None:
            return stored
        meant: Numbers = stored * self.step + self.low
        return meant


def in_8_bits(vectors: Numbers) -> ItemVectors:
    """The same vectors at a quarter of the size, each number off by at most half a 255th of its column's range."""
    low, high = vectors.min(axis=0), vectors.max(axis=0)
    step = np.maximum((high - low) / 255, np.finfo(np.float32).tiny).astype(np.float32)
    stored = np.empty(vectors.shape, np.uint8)
    for start in range(0, len(vectors), BLOCK):
        block = slice(start, start + BLOCK)
        stored[block] = np.rint((vectors[block] - low) / step).clip(0, 255)
    return ItemVectors(stored, low.astype(np.float32), step)
