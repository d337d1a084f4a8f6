"""The state of a single process, in its own memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from serving_min.state.store import KEPT, TTL, WINDOW, Arrival, Status, Touch, in_order

Value = TypeVar("Value")


class Expiring(Generic[Value]):
    """Values by name that ``weigh`` at most ``size`` together; each goes ``seconds`` after it was last put, and to make
    room the longest untouched first."""

    def __init__(
        self, size: int, seconds: float, clock: Callable[[], float], weigh: Callable[[Value], int] = lambda _: 1
    ) -> None:
        self.size, self.seconds, self.clock, self.weigh = size, seconds, clock, weigh
        self._values: OrderedDict[str, tuple[float, Value]] = OrderedDict()
        self._weight = 0

    def __len__(self) -> int:
        return len(self._values)

    def get(self, name: str) -> Value | None:
        until, value = self._values.get(name, (0.0, None))
        return value if until > self.clock() else None

    def put(self, name: str, value: Value) -> None:
        now = self.clock()
        self.pop(name)
        self._values[name] = now + self.seconds, value
        self._weight += self.weigh(value)
        while self._values and (self._weight > self.size or next(iter(self._values.values()))[0] <= now):
            self.pop(next(iter(self._values)))

    def pop(self, name: str) -> Value | None:
        if name not in self._values:
            return None
        value = self._values.pop(name)[1]
        self._weight -= self.weigh(value)
        return value


class MemoryStore:
    """The latest ``kept`` events of each user by their time, at most ``events`` in all, and the ids of the latest
    ``ids`` events.

    A user goes ``ttl`` seconds after their last event; whoever was quiet for longest makes room. A million events take
    about 200 MB, a million ids of 36 letters 270 MB.
    """

    def __init__(
        self,
        *,
        events: int = 1_000_000,
        kept: int = KEPT,
        ttl: float = TTL,
        ids: int = 1_000_000,
        window: float = WINDOW,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.kept = kept
        self._users: Expiring[list[Touch]] = Expiring(events, ttl, clock, len)
        self._ids: Expiring[bool] = Expiring(ids, window, clock)

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def read(self, user: str) -> list[Touch]:
        return self.at_once(user)

    def at_once(self, user: str) -> list[Touch]:
        return list(self._users.get(user) or [])

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
            touches = in_order([*(self._users.get(arrival.user) or []), arrival.touch])
            self._users.put(arrival.user, touches[-self.kept :])
        return True
