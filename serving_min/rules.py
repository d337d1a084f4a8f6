"""What a surface does with what was found: bounds, caps, pins, boosts, new items, variety.

Plain data, as it stands in ``surfaces.json`` and in ``conf/rerank/``; ``serving_min.rerank.reranker`` applies it.
Days are days of UTC, and a period includes both its ends.
"""

from __future__ import annotations

from datetime import date
from itertools import combinations
from typing import Annotated

from msgspec import Meta, Struct, field

from serving_min.messages import Filters

Share = Annotated[float, Meta(ge=0, le=1)]
Positive = Annotated[int, Meta(ge=1)]
DAY = 86_400  # seconds
MOST = 1e6  # times a score, or the distance of scores
DEEPEST = 10_000  # candidates of one list that rules look at
FIRST, LAST = date.min.toordinal(), date.max.toordinal()
EPOCH = date(1970, 1, 1).toordinal()


class Caps(Struct, frozen=True, forbid_unknown_fields=True):
    """At most so many items of one category or brand in a list. An unknown one has no cap; several at once, "a|b", are
    one of their own."""

    category: Positive | None = None
    brand: Positive | None = None


class Period(Struct, frozen=True, forbid_unknown_fields=True):
    """From a day until another; null = open."""

    since: date | None = field(default=None, name="from")
    until: date | None = None

    def __post_init__(self) -> None:
        if self.since is not None and self.until is not None and self.since > self.until:
            raise ValueError(f"`from` {self.since} is after `until` {self.until}")

    @property
    def days(self) -> tuple[int, int]:
        """The first and the last day, as ordinals."""
        first = FIRST if self.since is None else self.since.toordinal()
        return first, LAST if self.until is None else self.until.toordinal()

    def holds(self, now: int) -> bool:
        """Whether ``now``, in epoch seconds, is inside."""
        first, last = self.days
        return first <= EPOCH + now // DAY <= last


class Pin(Period, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An item at a fixed position, 1 being the first; left out where the list may not hold it."""

    item: str
    position: Positive


class Boost(Period, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Better or worse scores for an item, a category or a brand: times ``factor``, and plus ``add`` of the distance
    between the best and the worst score found. A negative score is divided by ``factor``, so that more than
    1 always lifts. What was not found cannot be boosted; pin it instead."""

    item: str | None = None
    category: str | None = None
    brand: str | None = None
    factor: Annotated[float, Meta(gt=0, le=MOST)] = 1.0
    add: Annotated[float, Meta(ge=-MOST, le=MOST)] = 0.0

    def __post_init__(self) -> None:
        Period.__post_init__(self)
        named = [name for name in ("item", "category", "brand") if getattr(self, name) is not None]
        if len(named) != 1:
            raise ValueError(f"a boost is for one of `item`, `category`, `brand`, not for {named or 'nothing'}")


class Weights(Struct, frozen=True, forbid_unknown_fields=True):
    """What the shop earns and has: an item gains up to so much of the distance between the best and the worst score,
    in proportion to its margin, or to the logarithm of 1 + its stock, among those found. Unknown gains nothing."""

    margin: Annotated[float, Meta(ge=0, le=MOST)] = 0.0
    stock: Annotated[float, Meta(ge=0, le=MOST)] = 0.0


class Exploration(Struct, frozen=True, forbid_unknown_fields=True):
    """At least ``share`` of a list are new items: on sale for at most ``days``, or less popular than
    ``popularity_below`` (of ``fallback.npz``: recency-weighted events). Those that are missing are drawn by lot."""

    share: Share
    days: Annotated[float, Meta(gt=0)] | None = None
    popularity_below: Annotated[float, Meta(gt=0)] | None = None

    def __post_init__(self) -> None:
        if self.days is None and self.popularity_below is None:
            raise ValueError("say what is new: `days`, `popularity_below` or both")


class Mmr(Struct, frozen=True, forbid_unknown_fields=True, tag_field="by", tag="mmr"):
    """Maximal marginal relevance; ``mix`` 1 looks at scores alone, 0 at variety alone."""

    mix: Share = 0.7


class Dpp(Struct, frozen=True, forbid_unknown_fields=True, tag_field="by", tag="dpp"):
    """A determinantal point process; ``mix`` as above."""

    mix: Share = 0.7


class Calibrated(Struct, frozen=True, forbid_unknown_fields=True, tag_field="by", tag="calibrated"):
    """The categories of the list in the proportions of the history; ``mix`` as above. ``smoothing`` is the share of the
    history's mix that every list is taken to hold."""

    mix: Share = 0.7
    smoothing: Annotated[float, Meta(gt=0, lt=1)] = 0.01


class Rules(Struct, frozen=True, forbid_unknown_fields=True):
    """In the order in which they are applied. ``depth`` items are looked at where the order may change."""

    filters: Filters = Filters()
    boosts: tuple[Boost, ...] = ()
    weights: Weights = Weights()
    variety: Mmr | Dpp | Calibrated | None = None
    caps: Caps = Caps()
    pins: tuple[Pin, ...] = ()
    exploration: Exploration | None = None
    depth: Annotated[int, Meta(ge=1, le=DEEPEST)] = 100

    def __post_init__(self) -> None:
        for one, other in combinations(self.pins, 2):
            overlap = one.days[0] <= other.days[1] and other.days[0] <= one.days[1]
            if overlap and one.position == other.position:
                raise ValueError(f"two items are pinned to position {one.position} on the same day")
            if overlap and one.item == other.item:
                raise ValueError(f"the item {one.item!r} is pinned to two positions on the same day")

    @property
    def idle(self) -> bool:
        """Whether they leave every list as it is."""
        return self == Rules(depth=self.depth)

    @property
    def varied(self) -> bool:
        """Whether variety counts beside the scores."""
        return self.variety is not None and self.variety.mix < 1

    @property
    def reorder(self) -> bool:
        """Whether more than k candidates have to be looked at."""
        return bool(self.varied or self.boosts or self.weights != Weights() or self.caps != Caps())
