"""Which items were in one basket or session: what the association models count."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsys_lab.data.log import InteractionLog
from serving_min.queries import offsets_of


@dataclass(frozen=True)
class ItemSets:
    """S sets of distinct items (CSR), in the order of their latest event."""

    offsets: NDArray[np.int64]  # [S + 1]
    items: NDArray[np.int32]  # [N]
    n_items: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def counts(self) -> NDArray[np.int64]:
        """How many sets hold each item, [I]."""
        return np.bincount(self.items, minlength=self.n_items).astype(np.int64)

    def together(self) -> sparse.csr_array:
        """How many sets hold both items, [I, I] float32; the diagonal is empty."""
        ones = np.ones(len(self.items), np.float32)
        sets = sparse.csr_array((ones, self.items, self.offsets), shape=(len(self), self.n_items))
        pairs = (sets.T @ sets).tocoo()
        rows, columns = pairs.coords
        apart = rows != columns
        return sparse.csr_array((pairs.data[apart], (rows[apart], columns[apart])), shape=pairs.shape)


def baskets_of(log: InteractionLog) -> NDArray[np.int32]:
    """The basket of each event, [N]; where the log has no basket at all, its session."""
    return log.baskets if (log.baskets >= 0).any() else log.sessions


def item_sets(groups: NDArray[np.int32], log: InteractionLog, *, longest: int, least: int = 1) -> ItemSets:
    """The distinct items of each group (a basket, a session) of the log's events; group -1 is none.

    A group keeps its ``longest`` latest items, since the pairs of a set grow with its square and a crawler's
    thousand items say little about any two of them. Groups of fewer than ``least`` items are left out.
    """
    order = np.lexsort((np.arange(len(log)), log.times, groups))
    order = order[groups[order] >= 0]
    # the latest event of each item in its group: the last of its run
    keys = groups[order].astype(np.int64) * log.n_items + log.items[order]
    _, from_end = np.unique(keys[::-1], return_index=True)
    order = order[np.sort(len(keys) - 1 - from_end)]

    _, starts, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    left = np.repeat(starts + sizes, sizes) - np.arange(len(order))
    order = order[(left <= longest) & (np.repeat(sizes, sizes) >= least)]

    _, starts, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    by_time = np.argsort(log.times[order[starts + sizes - 1]], kind="stable")
    lengths = sizes[by_time]
    offsets = offsets_of(lengths)
    places = np.arange(len(order)) + np.repeat(starts[by_time] - offsets[:-1], lengths)
    return ItemSets(offsets, log.items[order[places]], log.n_items)
