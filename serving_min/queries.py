"""A query is what the shop knows at request time: the history so far, the user, the clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Length = TypeVar("Length", int, NDArray[np.int64])
PADDING = -1
STEPS = 16  # kernels take as many numbers at a time, so that more padding adds zeros at the end of a sum


@dataclass(frozen=True)
class Queries:
    """Q histories of N events in all, oldest event first, as flat arrays with offsets (CSR).

    ``items`` are item codes (always known ones: unknown ids are dropped before), ``events``
    index ``event_names``, ``times`` and ``now`` are epoch seconds, ``attributes`` are user
    attribute codes where 0 means unknown.
    """

    offsets: NDArray[np.int64]  # [Q + 1]
    items: NDArray[np.int32]  # [N]
    events: NDArray[np.int8]  # [N]
    times: NDArray[np.int64]  # [N]
    now: NDArray[np.int64]  # [Q]
    attributes: NDArray[np.int32]  # [Q, A]
    event_names: tuple[str, ...] = ("view",)

    def __len__(self) -> int:
        return len(self.now)

    @classmethod
    def from_histories(
        cls,
        histories: Sequence[Sequence[int]],
        *,
        events: Sequence[Sequence[int]] | None = None,
        times: Sequence[Sequence[int]] | None = None,
        now: Sequence[int] | None = None,
        attributes: NDArray[np.int32] | None = None,
        event_names: tuple[str, ...] = ("view",),
    ) -> Queries:
        """Build from lists of item codes. Missing events are the first kind, missing times are ``now``, which is 0
        where it is missing itself."""
        lengths = np.array([len(history) for history in histories], dtype=np.int64)
        offsets = offsets_of(lengths)
        total = int(offsets[-1])
        asked = np.zeros(len(histories), np.int64) if now is None else np.asarray(now, np.int64)

        def flat(lists: Sequence[Sequence[int]], dtype: type) -> NDArray[Any]:
            return np.fromiter(chain.from_iterable(lists), dtype, total)

        return cls(
            offsets=offsets,
            items=flat(histories, np.int32),
            events=np.zeros(total, np.int8) if events is None else flat(events, np.int8),
            times=asked.repeat(lengths) if times is None else flat(times, np.int64),
            now=asked,
            attributes=np.zeros((len(histories), 0), np.int32) if attributes is None else attributes,
            event_names=event_names,
        )

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        return self.offsets[1:] - self.offsets[:-1]

    @cached_property
    def longest(self) -> int:
        """How many events the longest history has."""
        return int(self.lengths.max(initial=0))

    @property
    def rows(self) -> NDArray[np.int64]:
        """The query that each of the N events belongs to, [N]."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def take(self, rows: NDArray[np.int64]) -> Queries:
        """The given queries, in the given order."""
        lengths = self.lengths[rows]
        offsets = offsets_of(lengths)
        source = np.arange(offsets[-1]) + (self.offsets[rows] - offsets[:-1]).repeat(lengths)
        return self._with_events(source, offsets, rows)

    def last(self, length: int) -> Queries:
        """The same queries with only their latest ``length`` events."""
        if self.longest <= length:
            return self
        keep = np.minimum(self.lengths, length)
        offsets = offsets_of(keep)
        source = np.arange(offsets[-1]) + (self.offsets[1:] - offsets[1:]).repeat(keep)
        return self._with_events(source, offsets, np.arange(len(self)))

    def with_latest(self) -> Queries:
        """A single query, and the same once more with its latest event alone."""
        length = len(self.items)
        source = np.arange(length + 1)
        source[length] = length - 1
        return self._with_events(source, np.array([0, length, length + 1]), np.zeros(2, np.int64))

    def of_items_below(self, code: int) -> Queries:
        """The same queries without the events of items whose code is ``code`` or above."""
        kept = self.items < code
        if kept.all():
            return self
        offsets = offsets_of(np.bincount(self.rows[kept], minlength=len(self)))
        return self._with_events(np.flatnonzero(kept), offsets, np.arange(len(self)))

    def batches(self, size: int) -> Iterator[tuple[slice, Queries]]:
        """Consecutive blocks of at most ``size`` queries, each with the rows it covers."""
        for start in range(0, len(self), size):
            block = slice(start, min(start + size, len(self)))
            yield block, self.part(block.start, block.stop)

    def part(self, start: int, stop: int) -> Queries:
        """The queries from ``start`` up to ``stop``; their events are not copied."""
        first, last = self.offsets[start], self.offsets[stop]
        return self._with_events(slice(first, last), self.offsets[start : stop + 1] - first, slice(start, stop))

    def _with_events(
        self, source: NDArray[np.int64] | slice, offsets: NDArray[np.int64], rows: NDArray[np.int64] | slice
    ) -> Queries:
        return Queries(
            offsets=offsets,
            items=self.items[source],
            events=self.events[source],
            times=self.times[source],
            now=self.now[rows],
            attributes=self.attributes[rows],
            event_names=self.event_names,
        )

    def packed(self, wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Those inputs of an encoder that are ``wanted``, but for vectors. No history may be empty.

        ``items`` and ``events`` [N] int64 and ``ages`` [N] float32 (seconds before ``now``): one history behind the
        other, without padding. ``places`` [Q, T] int64: the numbers of each history's events, oldest first, then
        -1; T is a multiple of 16, whatever else is asked at the same time. ``cells`` [N] int64: where each
        event is in ``places``, counted row by row. ``now`` [Q] int64, ``attributes`` [Q, A] int64.
        """
        steps = np.arange(padded(self.longest))
        real = steps < self.lengths[:, None]
        made: dict[str, Callable[[], NDArray[Any]]] = {
            "items": lambda: self.items.astype(np.int64),
            "events": lambda: self.events.astype(np.int64),
            "ages": lambda: np.maximum(np.repeat(self.now, self.lengths) - self.times, 0).astype(np.float32),
            "places": lambda: np.where(real, self.offsets[:-1, None] + steps, PADDING),
            "cells": lambda: np.flatnonzero(real),
            "now": lambda: self.now.astype(np.int64),
            "attributes": lambda: self.attributes.astype(np.int64),
        }
        return {name: made[name]() for name in wanted if name in made}


def padded(length: Length) -> Length:
    """The next multiple of 16."""
    return -(-length // STEPS) * STEPS


def offsets_of(lengths: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Offsets [Q + 1] of parts with these ``lengths`` [Q] that lie one behind the other."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    lengths.cumsum(out=offsets[1:])
    return offsets
