"""What the server counts while it runs: a few hundred nanoseconds each, since every request pays for it.

Plain dictionaries by label values; ``serving_min.exposition`` shows them to Prometheus. Each meter is written to by one
thread alone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self, get_args

from serving_min.cache import Outcome
from serving_min.messages import Answer

Labels = tuple[str, ...]
REFUSALS = ("400", "401", "403", "404", "405", "408", "409", "413", "422", "429", "431", "500", "503")
OUTCOMES = (*get_args(Outcome), "never kept")
BECAME = ("accepted", "duplicate", "rejected")  # of an event
Together = Callable[[Iterable[float]], float]
SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


@dataclass
class Counter:
    """Only ever grows. ``labels`` names the parts of a key of ``values``."""

    name: str
    help: str
    labels: Labels = ()
    values: dict[Labels, float] = field(default_factory=dict)

    def at_zero(self, *names: str) -> Self:
        """Show these values of the one label before they are first counted: a rate is one from the first on then."""
        self.values |= {(name,): 0.0 for name in names}
        return self

    def add(self, *key: str, by: float = 1) -> None:
        self.values[key] = self.values.get(key, 0) + by


@dataclass
class Histogram:
    """How many observations were at most each of ``bounds``, and their sum."""

    name: str
    help: str
    labels: Labels = ()
    bounds: Sequence[float] = SECONDS
    values: dict[Labels, list[float]] = field(default_factory=dict)  # count in each bucket, above all, and the sum

    def observe(self, value: float, *key: str) -> None:
        row = self.values.get(key)
        if row is None:
            row = self.values[key] = [0.0] * (len(self.bounds) + 2)
        row[bisect_left(self.bounds, value)] += 1
        row[-1] += value


@dataclass
class Tally:
    """A counter that something else keeps: ``read`` gives its values by label when somebody asks."""

    name: str
    help: str
    read: Callable[[], Mapping[Labels, float]]
    labels: Labels = ()


@dataclass
class Gauge:
    """Something that is looked at when somebody asks: ``read`` gives its values by label. ``together`` makes one value
    of those of several processes: what each has of its own adds up, of what all look at the worst counts."""

    name: str
    help: str
    read: Callable[[], Mapping[Labels, float]]
    labels: Labels = ()
    together: Together = sum


Meter = Counter | Tally | Histogram | Gauge


class Meters:
    """Those of one server."""

    def __init__(self) -> None:
        self.requests = Histogram(
            "recsys_request_seconds", "From a request understood to its answer encoded.", ("surface",)
        )
        self.stages = Histogram("recsys_stage_seconds", "Time of a batch in each stage.", ("surface", "stage"))
        self.fallbacks = Counter("recsys_fallbacks", "Answers that a retriever did not speak in.", ("surface", "why"))
        self.refusals = Counter("recsys_refusals", "Responses of 4xx and 5xx.", ("status",)).at_zero(*REFUSALS)
        self.history_items = Counter("recsys_history_items", "Items in the requests' histories, items and carts.")
        self.unknown_items = Counter("recsys_unknown_items", "Those of them that the bundle does not know.")
        self.cache = Counter("recsys_cache", "Requests by what the cache did.", ("outcome",)).at_zero(*OUTCOMES)
        self.events = Counter("recsys_events", "Events reported.", ("outcome",)).at_zero(*BECAME)
        self.own: list[Meter] = [
            self.requests,
            self.stages,
            self.fallbacks,
            self.refusals,
            self.history_items,
            self.unknown_items,
            self.cache,
            self.events,
        ]

    def watch(self, *meters: Gauge | Tally) -> None:
        """Show these too."""
        self.own += meters

    def answered(self, answer: Answer, seconds: float, items: int) -> None:
        """An answer to a request that named ``items``, so many seconds after it came."""
        self.requests.observe(seconds, answer.surface)
        self.history_items.add(by=items)
        if answer.unknown_items:
            self.unknown_items.add(by=len(answer.unknown_items))
        if answer.fallback is not None:
            self.fallbacks.add(answer.surface, answer.fallback)
