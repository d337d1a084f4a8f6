"""What one member of a composite says about queries, made fit to be joined with what others say.

The lab's sums and the server's differ in their last bits, so nothing here may hang on them: scores within a
hair's breadth share a rank, and where a list was cut, all that ties with the cut is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from serving_min.rerank import NOTHING, TopK

SLACK = 1e-5  # of the list's largest magnitude: closer scores are equal
CODE_BITS = 32


@dataclass(frozen=True)
class Opinions:
    """N items that the lists of Q queries name above their edge: what was said of those that are not on it, at most.

    ``shares`` are scores from 0 at the edge to 1 at the top, ``ranks`` places from 1; items that tie share the first.
    """

    rows: NDArray[np.int64]  # [N] whose list it is, ascending; within one list the best come first
    codes: NDArray[np.int32]  # [N]
    shares: NDArray[np.float64]  # [N]
    ranks: NDArray[np.int64]  # [N]

    @classmethod
    def of(cls, *tables: TopK) -> Opinions:
        """All lists of the ``tables``, which stand one below the other, without what the fallback filled."""
        lists, widths = _stacked(tables)
        said = (lists.items != NOTHING) & ~lists.filled
        scores = np.where(said, lists.scores, 0).astype(np.float64)
        lengths, width = said.sum(axis=1), said.shape[1]
        last = scores[np.arange(len(scores)), np.maximum(lengths, 1) - 1]
        edges = np.where(lengths == widths, last, np.minimum(last, 0))[:, None]
        slack = SLACK * np.abs(scores).max(axis=1, keepdims=True)
        rows, places = np.nonzero(said & (scores > edges + slack))
        begins = np.diff(scores, axis=1, prepend=np.inf) < -slack
        ranks = np.maximum.accumulate(np.where(begins, np.arange(1, width + 1), 0), axis=1)
        above = scores - edges
        shares = above[rows, places] / above[rows, 0]
        return cls(rows, lists.items[rows, places], shares, ranks[rows, places])

    @cached_property
    def keys(self) -> NDArray[np.int64]:
        """Query and item as one number, [N]."""
        return keys_of(self.rows, self.codes)


def _stacked(tables: Sequence[TopK]) -> tuple[TopK, NDArray[np.int64]]:
    """The lists in one table, behind the shorter ones empty places, and how long each could have been, [Q]."""
    widths = [table.items.shape[1] for table in tables]
    width = max(widths)
    parts = [table if own == width else _widened(table, width) for table, own in zip(tables, widths, strict=True)]
    lists = TopK(
        np.concatenate([part.items for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.filled for part in parts]),
    )
    return lists, np.repeat(widths, [len(part) for part in parts])


def _widened(lists: TopK, width: int) -> TopK:
    size, own = lists.items.shape
    items, scores = np.full((size, width), NOTHING, np.int32), np.full((size, width), -np.inf, np.float32)
    filled = np.zeros((size, width), np.bool_)
    items[:, :own], scores[:, :own], filled[:, :own] = lists.items, lists.scores, lists.filled
    return TopK(items, scores, filled)


def keys_of(rows: NDArray[np.int64], codes: NDArray[np.int32]) -> NDArray[np.int64]:
    """Numbers that ascend by query, then by item code."""
    return (rows << CODE_BITS) | codes


def named_by(opinions: Sequence[Opinions]) -> NDArray[np.int64]:
    """The keys of all items that any of the opinions names, ascending."""
    return distinct(np.concatenate([np.zeros(0, np.int64), *(each.keys for each in opinions)]))


def rows_and_codes(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """What ``keys_of`` made ``keys`` of."""
    return keys >> CODE_BITS, (keys & ((1 << CODE_BITS) - 1)).astype(np.int32)


def distinct(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Ascending. For thousands of numbers sorting is quicker than ``np.unique``, which hashes them."""
    ordered = np.sort(numbers)
    first: NDArray[np.bool_] = np.diff(ordered, prepend=-1) != 0  # keys are never negative
    return ordered[first]
