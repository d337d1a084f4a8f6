"""Histories that are easy to get wrong, made from real ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recsys_lab.errors import ExportError
from serving_min.queries import Queries


def probes(queries: Queries, max_history: int | None, limit: int = 32) -> dict[str, Queries]:
    """By name: queries with no event, with one, with each event twice, and with more than ``max_history``.

    They keep the events, times and attributes of (at most ``limit`` of) the given queries, so
    that whatever a model does with those is exercised too. Raises ExportError when no query
    has a history.
    """
    some = queries.take(np.flatnonzero(queries.lengths > 0)[:limit])
    if len(some) == 0:
        raise ExportError(f"queries: none of {len(queries)} has a history; give the test fold's queries")
    return {
        "empty history": some.last(0),
        "one event": some.last(1),
        "repeated events": _repeated(some),
        "over-long history": _longer_than(max_history or some.longest, some),
    }


def _repeated(queries: Queries) -> Queries:
    twice = np.repeat(np.arange(len(queries.items)), 2)
    return replace(
        queries,
        offsets=queries.offsets * 2,
        items=queries.items[twice],
        events=queries.events[twice],
        times=queries.times[twice],
    )


def _longer_than(length: int, queries: Queries) -> Queries:
    """Query q: 2 ``length`` + 3 events of everybody's, those from q's own first one on, in order of time."""
    long = 2 * length + 3
    source = (queries.offsets[:-1, None] + np.arange(long)) % len(queries.items)  # [Q, long]
    source = np.take_along_axis(source, np.argsort(queries.times[source], axis=1, kind="stable"), 1).ravel()
    return replace(
        queries,
        offsets=np.arange(len(queries) + 1, dtype=np.int64) * long,
        items=queries.items[source],
        events=queries.events[source],
        times=queries.times[source],
        now=np.maximum(queries.now, queries.times.max()),
    )
