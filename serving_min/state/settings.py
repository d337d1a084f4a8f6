"""Which state store, and how large."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from serving_min.state.memory import MemoryStore
from serving_min.state.resilient import ResilientStore
from serving_min.state.store import KEPT, TTL, WINDOW, StateStore

Positive = Annotated[int, Meta(ge=1)]


class StateSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """``redis`` is an address, redis://HOST:PORT/DATABASE; null keeps the state in this process. The latest ``kept``
    events of a user go ``ttl`` seconds after the last of them; an event id is recognised for ``window`` seconds.

    In memory there are at most ``events`` events and ``ids`` event ids. A call to Redis has ``timeout`` seconds, and at
    most ``delayed`` events wait while it is away.
    """

    redis: str | None = None
    kept: Positive = KEPT
    ttl: Positive = TTL
    window: Positive = WINDOW
    events: Positive = 1_000_000
    ids: Positive = 1_000_000
    timeout: Annotated[float, Meta(gt=0)] = 0.05
    delayed: Positive = 100_000

    def open(self) -> StateStore:
        """Raises StartError for an address that is none, or when the package is missing."""
        if self.redis is None:
            return MemoryStore(events=self.events, kept=self.kept, ttl=self.ttl, ids=self.ids, window=self.window)
        from serving_min.state.redis import RedisStore

        store = RedisStore(self.redis, kept=self.kept, ttl=self.ttl, window=self.window, timeout=self.timeout)
        return ResilientStore(store, waiting=self.delayed)
