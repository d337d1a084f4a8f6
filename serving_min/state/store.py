"""The contract of a state store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from serving_min.events import Kind

KEPT = 200  # latest events of a user
TTL = 30 * 86_400  # seconds after a user's last event until all of them go
WINDOW = 2 * 86_400  # seconds during which an event id that comes again is recognised


class Touch(Struct, frozen=True, array_like=True):
    """Something a user did to an item, at ``time`` in epoch seconds."""

    item: str
    event: Kind
    time: int


class Arrival(Struct, frozen=True):
    """An event on its way into the store; ``id`` is its own. Without a ``touch`` only the id is remembered."""

    id: str
    user: str
    touch: Touch | None


class Status(Struct, frozen=True):
    """``delayed`` writes wait for the store to come back; ``lost`` ones have been given up since the start."""

    store: str
    reachable: bool = True
    delayed: int = 0
    lost: int = 0


class StateStore(Protocol):
    """Keeps each user's latest events for a while. Called from one event loop."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def read(self, user: str) -> list[Touch]:
        """The user's latest events, oldest first."""
        ...

    def at_once(self, user: str) -> list[Touch] | None:
        """The same where nobody has to be waited for; None where somebody has."""
        ...

    async def add(self, arrivals: Sequence[Arrival]) -> list[bool]:
        """Which of them were new: the others' ids have come before."""
        ...

    async def forget(self, user: str) -> int:
        """Delete all events of a user; how many there were. Raises BusyError when that cannot be done now."""
        ...

    def status(self) -> Status: ...


def in_order(touches: Sequence[Touch]) -> list[Touch]:
    """By time; those of one second stay in the order in which they came."""
    return sorted(touches, key=lambda touch: touch.time)
