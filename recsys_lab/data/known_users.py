"""Whose history is it? Training users recognised by what they did, for models that only know user ids."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recsys_lab.data.log import InteractionLog
from serving_min.queries import Queries

Hashes = NDArray[np.uint64]
STRANGER = -1


class KnownUsers:
    """Finds the training user whose whole history a query's history begins with.

    What the user did after training may follow, so the same person is still recognised in a test
    query. An event is its item and its time. Of several such users the one with the longest history
    is taken, then the lower code: two users who did exactly the same cannot be told apart.
    Histories are compared by 64-bit hashes of their events and places.
    """

    def __init__(self, log: InteractionLog) -> None:
        ends = _prefix_hashes(log.items, log.times, log.offsets)
        users = np.flatnonzero(np.diff(log.offsets)).astype(np.int32)
        self.hashes, first = np.unique(ends[log.offsets[users + 1] - 1], return_index=True)
        self.users = users[first]

    def of(self, queries: Queries) -> NDArray[np.int32]:
        """The user's code for each query, -1 for a stranger, [Q]."""
        found = np.full(len(queries), STRANGER, np.int32)
        if len(self.hashes) == 0:
            return found
        prefixes = _prefix_hashes(queries.items, queries.times, queries.offsets)
        places = np.minimum(np.searchsorted(self.hashes, prefixes), len(self.hashes) - 1)
        same = self.hashes[places] == prefixes
        # in the order of events, so the longest prefix is written last and stays
        found[queries.rows[same]] = self.users[places[same]]
        return found


def _prefix_hashes(items: NDArray[np.int32], times: NDArray[np.int64], offsets: NDArray[np.int64]) -> Hashes:
    """For each event the hash of its history up to and including it, [N]; sums wrap around on purpose."""
    lengths = np.diff(offsets)
    places = np.arange(len(items)) - np.repeat(offsets[:-1], lengths)
    mixed = _mix(_mix(_mix(places.astype(np.uint64)) + items.astype(np.uint64)) + times.astype(np.uint64))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)])
    prefixes: Hashes = sums[1:] - np.repeat(sums[offsets[:-1]], lengths)
    return prefixes


def _mix(values: Hashes) -> Hashes:
    """The finaliser of SplitMix64 (Steele, Lea & Flood, OOPSLA 2014): one bit in changes half of the bits out."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
