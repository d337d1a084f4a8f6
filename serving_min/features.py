"""What a ranker looks at: numbers about queries and each of their candidates. Numpy only.

The lab trains on the same code, so a feature is the same offline and online, and a query's are the same in any batch.
Spans are in days, ``NEVER`` where there is none. A moment is a second with events: a basket, as far as a history can
tell. Shapes: Q queries, N events, M moments of one query each, C candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from serving_min.opinions import Opinions, distinct, keys_of, rows_and_codes
from serving_min.queries import Queries, offsets_of
from serving_min.recency import SECONDS_PER_DAY

NEVER = 9_999.0
HALF_LIVES = (7.0, 28.0, 180.0)  # days, of the items' popularity
Numbers = NDArray[np.float64]
Codes = NDArray[np.int32]
Rows = NDArray[np.int64]  # places in another array
Seconds = NDArray[np.int64]


@dataclass(frozen=True)
class ItemFacts:
    """What the training log knows of each item, by code; times are epoch seconds."""

    popularity: NDArray[np.float32]  # [I, len(HALF_LIVES)] events, halved by age
    first: NDArray[np.int64]  # [I] its first event; -1 = none
    last: NDArray[np.int64]  # [I] its latest event; -1 = none
    buyers: NDArray[np.float32]  # [I] users who touched it
    again: NDArray[np.float32]  # [I] the share of them who came back to it, shrunk towards the mean
    gap: NDArray[np.float32]  # [I] days between two moments of one user with it, in the mean; NEVER
    price: NDArray[np.float32]  # [I] 0 = unknown

    def columns(self, codes: Codes, now: Seconds) -> dict[str, Numbers]:
        popular = np.log1p(self.popularity[codes].astype(np.float64))
        named = {f"popularity {days:g}": popular[:, place] for place, days in enumerate(HALF_LIVES)}
        return {
            **named,
            "rise": popular[:, 0] - popular[:, -1],
            "age": _days(self.first[codes], now),
            "since sold": _days(self.last[codes], now),
            "buyers": np.log1p(self.buyers[codes].astype(np.float64)),
            "again": self.again[codes].astype(np.float64),
            "typical gap": self.gap[codes].astype(np.float64),
            "price": self.price[codes].astype(np.float64),
        }


def features(
    queries: Queries,
    keys: NDArray[np.int64],
    opinions: Sequence[Opinions],
    members: Sequence[str],
    facts: ItemFacts,
    depth: int,
) -> NDArray[np.float32]:
    """One row for each of the candidates ``keys`` [C] of ``opinions.keys_of``, which ascend: [C, F]."""
    named = columns(queries, keys, opinions, members, facts, depth)
    rows = np.empty((len(named), len(keys)), np.float32)
    for place, column in enumerate(named.values()):
        rows[place] = column
    return rows.T


def columns(
    queries: Queries,
    keys: NDArray[np.int64],
    opinions: Sequence[Opinions],
    members: Sequence[str],
    facts: ItemFacts,
    depth: int,
) -> dict[str, Numbers]:
    """The features by name, in their order: [C] each."""
    owners, codes = rows_and_codes(keys)
    past = _Past.of(queries)
    own = _own(past, keys, owners)
    item = facts.columns(codes, queries.now[owners])
    asked = past.context(facts)
    return {
        **own,
        **{name: column[owners] for name, column in past.columns().items()},
        **item,
        "due": (own["since"] / np.maximum(item["typical gap"], 1)).clip(max=NEVER),
        "price to usual": item["price"] / np.maximum(asked["usual price"], 0.01)[owners],
        **{name: column[owners] for name, column in asked.items()},
        **_first_stage(keys, opinions, members, depth),
    }


@dataclass(frozen=True)
class _Past:
    """The histories, in order of time, and their moments."""

    queries: Queries
    rows: Rows  # [N] whose event it is
    items: Codes  # [N]
    events: NDArray[np.int8]  # [N]
    at: Rows  # [N] the event's moment
    times: Seconds  # [M] of the moments
    starts: Rows  # [Q + 1] each query's first moment

    @classmethod
    def of(cls, queries: Queries) -> _Past:
        rows, times, items, events = queries.rows, queries.times, queries.items, queries.events
        if ((np.diff(times) < 0) & (np.diff(rows) == 0)).any():
            order = np.lexsort((times, rows))
            times, items, events = times[order], items[order], events[order]
        begins = (np.diff(rows, prepend=-1) != 0) | (np.diff(times, prepend=-1) != 0)
        counts = np.bincount(rows[begins], minlength=len(queries))
        starts = offsets_of(counts)
        return cls(queries, rows, items, events, begins.cumsum() - 1, times[begins], starts)

    @cached_property
    def counts(self) -> Rows:
        """Moments of each query, [Q]."""
        return np.diff(self.starts)

    def columns(self) -> dict[str, Numbers]:
        """Each history as a whole, [Q] each."""
        now, size, moments = self.queries.now, len(self.queries), self.counts
        lengths = self.queries.lengths
        padded = np.append(self.times, 0)  # so that a query without a moment, the last one perhaps, finds some number
        some, last = moments > 0, padded[self.starts[1:] - 1]
        span = np.where(some, (last - padded[self.starts[:-1]]) / SECONDS_PER_DAY, 0.0)
        owners = np.repeat(np.arange(size), moments)
        active = self.times > now[owners] - 28 * SECONDS_PER_DAY
        different, _ = rows_and_codes(distinct(keys_of(self.rows, self.items)))
        return {
            "history": lengths.astype(np.float64),
            "history moments": moments.astype(np.float64),
            "history span": span,
            "history gap": np.where(moments > 1, span / np.maximum(moments - 1, 1), NEVER),
            "idle": np.where(some, np.maximum(now - last, 0) / SECONDS_PER_DAY, NEVER),
            "basket": lengths / np.maximum(moments, 1),
            "variety": np.bincount(different, minlength=size) / np.maximum(lengths, 1),
            "active 28": np.bincount(owners[active], minlength=size).astype(np.float64),
        }

    def context(self, facts: ItemFacts) -> dict[str, Numbers]:
        """What prices each query is used to, and when it is asked, [Q] each."""
        now, size = self.queries.now, len(self.queries)
        paid = np.bincount(self.rows, facts.price[self.items], size)
        day = now // SECONDS_PER_DAY
        return {
            "usual price": paid / np.maximum(self.queries.lengths, 1),
            "hour": (now // 3_600 % 24).astype(np.float64),
            "weekday": ((day + 3) % 7).astype(np.float64),  # the first of January 1970 was a Thursday
        }


def _own(past: _Past, keys: NDArray[np.int64], owners: Rows) -> dict[str, Numbers]:
    """Each candidate in its query's history."""
    size, moments, now = len(keys), past.counts[owners], past.queries.now[owners]
    touched = keys_of(past.rows, past.items)
    place = keys.searchsorted(touched).clip(max=max(size - 1, 0))
    mine = keys[place] == touched if size else np.zeros(len(touched), np.bool_)
    place, at, kinds = place[mine], past.at[mine], past.events[mine]
    rows, when = np.divmod(distinct(place * max(1, len(past.times)) + at), max(1, len(past.times)))
    times = np.bincount(rows, minlength=size).astype(np.float64)
    first, last, latest = (np.full(size, -1, np.int64) for _ in range(3))
    last[rows], latest[rows] = past.times[when], when  # rows ascend, and in each the moments: the latest stays
    first[rows[::-1]] = past.times[when[::-1]]
    ages = np.maximum(now[rows] - past.times[when], 0) / SECONDS_PER_DAY
    since = _days(last, now)
    gap = np.where(times > 1, (last - first) / SECONDS_PER_DAY / np.maximum(times - 1, 1), NEVER)
    named = {
        "events": np.bincount(place, minlength=size).astype(np.float64),
        "moments": times,
        "share of moments": times / np.maximum(moments, 1),
        "since": since,
        "since first": _days(first, now),
        "moments ago": np.where(latest >= 0, past.starts[1:][owners] - 1 - latest, NEVER),
        "gap": gap,
        "overdue": np.where(times > 1, since / np.maximum(gap, 1), NEVER),
        "recency 14": np.bincount(rows, np.exp2(-ages / 14), size),
        "recency 120": np.bincount(rows, np.exp2(-ages / 120), size),
    }
    if len(past.queries.event_names) > 1:
        for kind, name in enumerate(past.queries.event_names):
            named[f"events {name}"] = np.bincount(place[kinds == kind], minlength=size).astype(np.float64)
    return named


def _first_stage(
    keys: NDArray[np.int64], opinions: Sequence[Opinions], members: Sequence[str], depth: int
) -> dict[str, Numbers]:
    """What each member says: its score between the edge and the top of its list, and its rank."""
    named = {}
    for member, opinion in zip(members, opinions, strict=True):
        share, rank = np.zeros(len(keys)), np.full(len(keys), depth + 1.0)
        places = keys.searchsorted(opinion.keys)
        share[places], rank[places] = opinion.shares, opinion.ranks
        named[f"{member} score"], named[f"{member} rank"] = share, rank
    named["reciprocal ranks"] = sum((1 / (60 + named[f"{member} rank"]) for member in members), np.zeros(len(keys)))
    return named


def _days(times: Seconds, now: Seconds) -> Numbers:
    """From ``times`` to ``now``, NEVER where the time is negative: there was none."""
    spans: Numbers = np.where(times >= 0, np.maximum(now - times, 0) / SECONDS_PER_DAY, NEVER)
    return spans
