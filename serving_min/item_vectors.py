"""The vectors of a bundle's items, as they lie in the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.integer[Any]]
Numbers = NDArray[np.float32]
BLOCK, PIECE = 1 << 20, 1 << 16  # rows that are looked at in one go, where they lie and one by one


@dataclass(frozen=True)
class ItemVectors:
    """C rows of D numbers: float32, or 8 bits each, where n stands for ``steps[row] * scales[column] * n``.

    A scale for each column and a step for each row leave a third less error than one range for each column, and what is
    far out is not cut off.
    """

    stored: NDArray[Any]  # [C, D] float32 or int8
    steps: Numbers | None = None  # [C]
    scales: Numbers | None = None  # [D]

    def __len__(self) -> int:
        return len(self.stored)

    @property
    def width(self) -> int:
        """D."""
        return int(self.stored.shape[1])

    def rows(self, places: Places | slice) -> Numbers:
        """The vectors at ``places``, [.., D]."""
        found = self.stored[places] if isinstance(places, slice) else self.stored.take(places, axis=0)
        if self.steps is None or self.scales is None:
            return found
        meant: Numbers = found * self.scales
        meant *= self.steps[places][..., None]
        return meant

    def scores(self, places: Places, queries: Numbers) -> Numbers:
        """Inner products of each query [Q, D] with the rows at its ``places`` [Q, F].

        einsum sums each row by itself, so a score does not depend on its neighbours as in BLAS.
        """
        found = self.stored.take(places, axis=0)  # in a third of the time that an index takes
        if self.steps is None or self.scales is None:
            scores: Numbers = np.einsum("qfd,qd->qf", found, queries)
            return scores
        scaled: Numbers = np.einsum("qfd,qd->qf", found.astype(np.float32), queries * self.scales)
        return scaled * self.steps.take(places)

    def are_most(self, places: Places) -> bool:
        """Whether to look at all rows is quicker than to copy those at ``places``."""
        return 2 * len(places) > len(self)

    def cosines(self, places: Places, direction: Numbers) -> Numbers:
        """Of the rows at ``places`` [N] to a ``direction`` [D] of length 1, [N]; not finite for rows of zeros."""
        with np.errstate(invalid="ignore"):
            if self.are_most(places):
                cosines: Numbers = self.all_scores(direction)[places] / self.norms[places]
            else:
                cosines = np.concatenate([_cosines(self.rows(some), direction) for some in pieces(places)])
        return cosines

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


def pieces(places: Places) -> Iterator[Places]:
    """So few at a time that their rows take little memory."""
    for start in range(0, max(1, len(places)), PIECE):
        yield places[start : start + PIECE]


def _cosines(rows: Numbers, direction: Numbers) -> Numbers:
    cosines: Numbers = np.einsum("nd,d->n", rows, direction) / np.sqrt(np.einsum("nd,nd->n", rows, rows))
    return cosines


def in_8_bits(vectors: Numbers) -> ItemVectors:
    """The same vectors at a quarter of the size; a number is off by at most half of its row's step at its scale."""
    scales = np.sqrt(np.einsum("cd,cd->d", vectors, vectors) / max(1, len(vectors))).astype(np.float32)
    scales = np.maximum(scales, np.finfo(np.float32).tiny)
    stored, steps = np.empty(vectors.shape, np.int8), np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), BLOCK):
        block = slice(start, start + BLOCK)
        scaled = vectors[block] / scales
        steps[block] = np.maximum(np.abs(scaled).max(axis=1) / 127, np.finfo(np.float32).tiny)
        stored[block] = np.rint(scaled / steps[block, None])
    return ItemVectors(stored, steps, scales)
