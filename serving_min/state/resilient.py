"""A store that may go away: answers go on without it, and what should have been written waits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from serving_min.errors import BusyError
from serving_min.state.breaker import Breaker
from serving_min.state.store import Arrival, StateStore, Status, Touch, in_order
from serving_min.state.waiting import Waiting

log = logging.getLogger(__name__)

AT_ONCE = 500  # delayed events written in one go


class Remote(StateStore, Protocol):
    """A store whose calls may raise one of ``failures``, soon."""

    failures: tuple[type[Exception], ...]


class ResilientStore:
    """Reads nothing and delays writes while ``store`` is away, without waiting for it in any request.

    The first failure opens the breaker; from then on only a task in the background asks, less and less often. Delayed
    events count for their user's recommendations in this process. At most ``waiting`` are kept, the oldest are lost
    first, and counted. Whether a delayed event is a duplicate shows only when it is written, so it is taken for new.
    """

    def __init__(self, store: Remote, *, waiting: int = 100_000, breaker: Breaker | None = None) -> None:
        self.store, self.waiting, self.breaker = store, Waiting(waiting), breaker or Breaker()
        self._retrying: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()  # whoever holds it finds delayed events here or in the store, none on its way

    async def start(self) -> None:
        """A store that is away at the start may still come."""
        try:
            await self.store.start()
        except self.store.failures as error:
            self._open(error)

    async def stop(self) -> None:
        """Write what waits if the store is there; what it refuses is lost, and the log says so."""
        if self._retrying is not None:
            self._retrying.cancel()
            with suppress(asyncio.CancelledError):
                await self._retrying
        try:
            await self._write_delayed()
        except self.store.failures as error:
            log.error("state store: %d delayed events are lost at the end: %s", self.waiting.give_up(), _said(error))
        await self.store.stop()

    async def read(self, user: str) -> list[Touch]:
        touches = []
        if not self.breaker.open:
            try:
                touches = await self.store.read(user)
            except self.store.failures as error:
                self._open(error)
        delayed = self.waiting.of(user)
        return in_order([*touches, *delayed]) if delayed else touches

    def at_once(self, user: str) -> list[Touch] | None:
        return in_order(self.waiting.of(user)) if self.breaker.open else None

    async def add(self, arrivals: Sequence[Arrival]) -> list[bool]:
        if not self.breaker.open:
            try:
                return await self.store.add(arrivals)
            except self.store.failures as error:
                self._open(error)
        return [self.waiting.put(arrival) for arrival in arrivals]

    async def forget(self, user: str) -> int:
        try:
            async with self._writing:
                return await self.store.forget(user) + self.waiting.drop(user)
        except self.store.failures as error:
            self._open(error)
            raise BusyError(f"the state store is away ({_said(error)}) and has forgotten nothing; ask again") from error

    def status(self) -> Status:
        return Status(self.store.status().store, not self.breaker.open, len(self.waiting), self.waiting.lost)

    def _open(self, error: Exception) -> None:
        if not self.breaker.open:
            log.warning("state store: away, answers use the request's own history: %s", _said(error))
            self.breaker.failed()
            self._retrying = asyncio.create_task(self._retry())

    async def _retry(self) -> None:
        while self.breaker.open:
            await asyncio.sleep(self.breaker.wait)
            try:
                await self.store.start()
                written = await self._write_delayed()
            except self.store.failures:
                self.breaker.failed()
            else:
                self.breaker.succeeded()
                log.warning("state store: back; %d delayed events written, %d lost so far", written, self.waiting.lost)

    async def _write_delayed(self) -> int:
        written = 0
        while len(self.waiting):
            async with self._writing:
                batch = self.waiting.oldest(AT_ONCE)
                await self.store.add(batch)
                for arrival in batch:
                    self.waiting.take(arrival.id)
            written += len(batch)
        return written


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
