"""What a ranker looks at: numbers about a query and each of its candidates. Numpy only.

The lab trains on the same code, so a feature is the same offline and online. Spans are in days, ``NEVER`` where there
is none. A moment is a second with events: a basket, as far as a history can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving_min.opinions import Opinion
from serving_min.queries import Queries
from serving_min.recency import SECONDS_PER_DAY

NEVER = 9_999.0
HALF_LIVES = (7.0, 28.0, 180.0)  # days, of the items' popularity
Numbers = NDArray[np.float64]
Codes = NDArray[np.int32]


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

    def columns(self, codes: Codes, now: int) -> dict[str, Numbers]:
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
    query: Queries, codes: Codes, opinions: Sequence[Opinion], members: Sequence[str], facts: ItemFacts, depth: int
) -> NDArray[np.float32]:
    """One row for each of the candidates ``codes`` [C], which ascend, of a single ``query``: [C, F]."""
    named = columns(query, codes, opinions, members, facts, depth)
    rows = np.empty((len(codes), len(named)), np.float32)
    for place, column in enumerate(named.values()):
        rows[:, place] = column
    return rows


def columns(
    query: Queries, codes: Codes, opinions: Sequence[Opinion], members: Sequence[str], facts: ItemFacts, depth: int
) -> dict[str, Numbers | float]:
    """The features by name, in their order: [C] numbers, or one for all candidates."""
    now = int(query.now[0])
    own = _own(query, codes, now)
    item = facts.columns(codes, now)
    bought = facts.price[query.items]
    usual = float(bought.mean(dtype=np.float64)) if len(bought) else 0.0
    day = now // SECONDS_PER_DAY
    return {
        **own,
        **_user(query, now),
        **item,
        "due": (own["since"] / np.maximum(item["typical gap"], 1)).clip(max=NEVER),
        "price to usual": item["price"] / max(usual, 0.01),
        "usual price": usual,
        "hour": float(now // 3_600 % 24),
        "weekday": float((day + 3) % 7),  # the first of January 1970 was a Thursday
        **_first_stage(codes, opinions, members, depth),
    }


def _own(query: Queries, codes: Codes, now: int) -> dict[str, Numbers]:
    """Each candidate in the history."""
    size = len(codes)
    moments, at = np.unique(query.times, return_inverse=True)
    place = codes.searchsorted(query.items).clip(max=size - 1)
    mine = codes[place] == query.items
    place, at, kinds = place[mine], at[mine], query.events[mine]
    rows, when = np.divmod(np.unique(place * max(1, len(moments)) + at), max(1, len(moments)))
    times = np.bincount(rows, minlength=size).astype(np.float64)
    first, last, latest = (np.full(size, -1, np.int64) for _ in range(3))
    last[rows], latest[rows] = moments[when], when  # rows ascend, and in each the moments: the latest stays
    first[rows[::-1]] = moments[when[::-1]]
    ages = np.maximum(now - moments[when], 0) / SECONDS_PER_DAY
    since = _days(last, now)
    gap = np.where(times > 1, (last - first) / SECONDS_PER_DAY / np.maximum(times - 1, 1), NEVER)
    named = {
        "events": np.bincount(place, minlength=size).astype(np.float64),
        "moments": times,
        "share of moments": times / max(1, len(moments)),
        "since": since,
        "since first": _days(first, now),
        "moments ago": np.where(latest >= 0, len(moments) - 1 - latest, NEVER),
        "gap": gap,
        "overdue": np.where(times > 1, since / np.maximum(gap, 1), NEVER),
        "recency 14": np.bincount(rows, np.exp2(-ages / 14), size),
        "recency 120": np.bincount(rows, np.exp2(-ages / 120), size),
    }
    if len(query.event_names) > 1:
        for kind, name in enumerate(query.event_names):
            named[f"events {name}"] = np.bincount(place[kinds == kind], minlength=size).astype(np.float64)
    return named


def _user(query: Queries, now: int) -> dict[str, float]:
    """The history as a whole."""
    times = np.unique(query.times)
    span = float(times[-1] - times[0]) / SECONDS_PER_DAY if len(times) else 0.0
    return {
        "history": float(len(query.items)),
        "history moments": float(len(times)),
        "history span": span,
        "history gap": span / (len(times) - 1) if len(times) > 1 else NEVER,
        "idle": max(0.0, float(now - times[-1]) / SECONDS_PER_DAY) if len(times) else NEVER,
        "basket": len(query.items) / max(1, len(times)),
        "variety": len(np.unique(query.items)) / max(1, len(query.items)),
        "active 28": float(np.count_nonzero(times > now - 28 * SECONDS_PER_DAY)),
    }


def _first_stage(codes: Codes, opinions: Sequence[Opinion], members: Sequence[str], depth: int) -> dict[str, Numbers]:
    """What each member says: its score between the edge and the top of its list, and its rank."""
    named = {}
    for member, opinion in zip(members, opinions, strict=True):
        share, rank = np.zeros(len(codes)), np.full(len(codes), depth + 1.0)
        places = codes.searchsorted(opinion.codes)
        share[places], rank[places] = opinion.shares, opinion.ranks
        named[f"{member} score"], named[f"{member} rank"] = share, rank
    named["reciprocal ranks"] = sum((1 / (60 + named[f"{member} rank"]) for member in members), np.zeros(len(codes)))
    return named


def _days(times: NDArray[np.int64], now: int) -> Numbers:
    """From ``times`` to ``now``, NEVER where the time is negative: there was none."""
    spans: Numbers = np.where(times >= 0, np.maximum(now - times, 0) / SECONDS_PER_DAY, NEVER)
    return spans
