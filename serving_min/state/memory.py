"""The state of a single process, in its own memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from serving_min.state.store import KEPT, TTL, WINDOW, Arrival, Status, Touch, in_order

Value = TypeVar("Value")


class Expiring(Generic[Value]):
    """At most ``size`` values by name; each goes ``seconds`` after it was last put, the longest untouched first."""

    def __init__(self, size: int, seconds: float, clock: Callable[[], float]) -> None:
        self.size, self.seconds, self.clock = size, seconds, clock
        self._values: OrderedDict[str, tuple[float, Value]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, name: str) -> Value | None:
        until, value = self._values.get(name, (0.0, None))
        return value if until > self.clock() else None

    def put(self, name: str, value: Value) -> None:
        now = self.clock()
        self._values[name] = now + self.seconds, value
        self._values.move_to_end(name)
        while len(self._values) > self.size or next(iter(self._values.values()))[0] <= now:
            self._values.popitem(last=False)

    def pop(self, name: str) -> Value | None:
        return self._values.pop(name, (0.0, None))[1]


class MemoryStore:
    """The latest ``kept`` events of at most ``users`` users, and the ids of the latest ``ids`` events.

    A user goes ``ttl`` seconds after their last event; whoever was quiet for longest makes room. Bounds memory: with
    ids of 36 letters and items of 10, an event takes about 250 bytes and an id 200.
    """

    def __init__(
        self,
        *,
        users: int = 100_000,
        kept: int = KEPT,
        ttl: float = TTL,
        ids: int = 1_000_000,
        window: float = WINDOW,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.kept = kept
        self._users: Expiring[list[Touch]] = Expiring(users, ttl, clock)
        self._ids: Expiring[bool] = Expiring(ids, window, clock)

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def read(self, user: str) -> list[Touch]:
        return in_order(self._users.get(user) or [])

    async def add(self, arrivals: Sequence[Arrival]) -> list[bool]:
        return [self._add(arrival) for arrival in arrivals]

    async def forget(self, user: str) -> int:
        return len(self._users.pop(user) or [])

    def status(self) -> Status:
        return Status("memory")

    def _add(self, arrival: Arrival) -> bool:
        if self._ids.get(arrival.id):
            return False
        self._ids.put(arrival.id, True)
        if arrival.touch is not None:
            touches = [*(self._users.get(arrival.user) or []), arrival.touch]
            self._users.put(arrival.user, touches[-self.kept :])
        return True
