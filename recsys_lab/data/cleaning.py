"""What preparation may do to a log, as settings; ``steps.py`` turns them into SQL."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from recsys_lab.errors import ConfigError

PURCHASE = "purchase"
EVENT_WEIGHTS = {"view": 1.0, "click": 1.0, "cart": 3.0, "purchase": 5.0, "rating": 1.0}
YEAR_2100 = 4_102_444_800
LARGEST = 1e30  # weights and values are kept in 32 bits


@dataclass(frozen=True)
class Cleaning:
    """The general cleaning rules, applied after a source's own.

    ``events`` are the event types to keep (None: all) and ``min_value`` the least value, which
    also drops rows without one. Rows of the same user, item, event and second are one event
    unless ``duplicates`` is "keep". ``event_weights`` say what an event counts for models that
    weigh; a type that is not named counts 1. ``min_user_events`` and ``min_item_events`` are a
    k-core, 0 for off; it looks at the whole log, the future included, so an honest comparison
    leaves it off. ``session_gap`` is the silence in seconds that ends a session where the log has
    no session ids, ``default_event`` what a row without a type is. Times are kept from
    ``earliest`` to ``latest``, epoch seconds. Raises ConfigError for a value that cannot work.
    """

    events: tuple[str, ...] | None = None
    min_value: float | None = None
    duplicates: Literal["drop", "keep"] = "drop"
    event_weights: dict[str, float] = field(default_factory=EVENT_WEIGHTS.copy)
    min_user_events: int = 0
    min_item_events: int = 0
    session_gap: int = 1800
    default_event: str = "view"
    earliest: int = 0
    latest: int = YEAR_2100

    def __post_init__(self) -> None:
        if isinstance(self.events, str):
            raise ConfigError(f"data.cleaning.events: {self.events!r} is no list; write [{self.events}]")
        if self.events is not None:
            object.__setattr__(self, "events", tuple(self.events))
            if not self.events:
                raise ConfigError(
                    "data.cleaning.events: an empty list keeps nothing; name event types, or null for all"
                )
        if self.duplicates not in ("drop", "keep"):
            raise ConfigError(f"data.cleaning.duplicates: {self.duplicates!r} is unknown; use drop or keep")
        for name in ("min_user_events", "min_item_events", "session_gap"):
            if getattr(self, name) < 0:
                raise ConfigError(f"data.cleaning.{name}: {getattr(self, name)} is negative; use 0 or more")
        for event, weight in self.event_weights.items():
            if weight < 0:
                raise ConfigError(f"data.cleaning.event_weights.{event}: {weight} is negative; use 0 or more")
            if not weight <= LARGEST:
                raise ConfigError(f"data.cleaning.event_weights.{event}: {weight} is no number up to {LARGEST:g}")
        if self.min_value is not None and not -LARGEST <= self.min_value <= LARGEST:
            raise ConfigError(f"data.cleaning.min_value: {self.min_value} is beyond ±{LARGEST:g}, or no number")
        if self.earliest > self.latest:
            raise ConfigError(f"data.cleaning.earliest: {self.earliest} is after data.cleaning.latest {self.latest}")
