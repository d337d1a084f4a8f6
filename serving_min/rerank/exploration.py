"""New items get their places by lot, with a probability that is known: what is never shown is never learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from math import ceil

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from serving_min.bounds import Bounds
from serving_min.rerank.facts import Facts
from serving_min.rerank.fading import disliked
from serving_min.rerank.found import Codes
from serving_min.rules import DAY, Exploration


def seed_of(request_id: str) -> int:
    """The lot that a request draws: the same id draws the same items."""
    return int.from_bytes(blake2b(request_id.encode(), digest_size=8).digest())


class Explorer:
    """Knows which items are new, and puts some into lists that have too few."""

    def __init__(self, rule: Exploration, facts: Facts, caps: Mapping[str, int]) -> None:
        self.rule, self.facts = rule, facts
        self.caps = [(getattr(facts.items, column).codes, most) for column, most in caps.items()]
        below = rule.popularity_below
        never = np.zeros(0, np.int32)
        self._little_known = never if below is None else np.flatnonzero(facts.popularity < below).astype(np.int32)
        self._dates = facts.items.available_from
        self._by_date, self._sorted_dates = never, np.zeros(0, np.int64)
        if rule.days is not None and self._dates is not None:
            self._by_date = self._dates.argsort(kind="stable").astype(np.int32)
            self._sorted_dates = self._dates[self._by_date]

    def new(self, now: int) -> Codes:
        """The new items at ``now``, ascending; never one that is not yet on sale."""
        known = self._little_known
        if self._dates is not None:
            known = known[self._dates[known] <= now]
        if self.rule.days is None:
            return known
        first, last = self._sorted_dates.searchsorted([now - int(self.rule.days * DAY), now], "right")
        young = np.sort(self._by_date[first:last])
        return np.union1d(known, young) if len(known) else young

    def explore(
        self, codes: list[int], kept: Sequence[int], bounds: Bounds, now: int, seed: int, dismissed: Mapping[int, float]
    ) -> dict[int, tuple[int, float]]:
        """Which items go to which places of the list ``codes``, with their propensities.

        New items take the places that are empty, the first one first, then the lowest that hold neither a new item nor
        one of ``kept``, the lowest first. Each is drawn evenly from the new items within the bounds that are not in the
        list, that the caps have room for, and that nothing ``dismissed`` is much like.
        """
        pool = self.new(now)
        if not len(pool):
            return {}
        nearest = pool[pool.searchsorted(codes).clip(max=len(pool) - 1)].tolist()
        already = [code for code, other in zip(codes, nearest, strict=True) if code == other]
        needed = ceil(self.rule.share * bounds.k - 1e-9) - len(already)
        if needed <= 0:
            return {}
        fixed = {*kept, *already}
        barred = np.array([*bounds.barred.tolist(), *codes], np.int32)
        pool = pool[replace(bounds, barred=barred).within(pool)]
        pool = pool[~disliked(pool, dismissed, self.facts)]
        drawn: dict[int, tuple[int, float]] = {}
        rng = np.random.default_rng(seed)
        held = list(codes)
        places = [*range(len(codes), bounds.k)]
        places += [place for place in reversed(range(len(codes))) if codes[place] not in fixed]
        for place in places[:needed]:
            others = np.array(held[:place] + held[place + 1 :], np.int32)
            free = pool[self._has_room(pool, others)] if self.caps else pool
            if not len(free):
                break
            item = int(free[rng.integers(len(free))])
            drawn[place] = (item, 1 / len(free))
            held[place : place + 1] = [item]
            pool = pool[pool != item]
        return drawn

    def _has_room(self, pool: Codes, others: Codes) -> NDArray[np.bool_]:
        room = np.ones(len(pool), np.bool_)
        for labels, most in self.caps:
            names, counts = np.unique(labels[others], return_counts=True)
            full = names[(counts >= most) & (names >= 0)]
            if len(full):
                room &= ~np.isin(labels[pool], full)
        return room
