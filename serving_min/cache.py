"""Answers that are kept for a while, and made once where several ask the same at the same time."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Annotated, Generic, Literal, TypeVar

from msgspec import Meta, Struct

Value = TypeVar("Value")
Outcome = Literal["hit", "joined", "miss"]


class CacheSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Answers are kept for ``seconds`` (0: not at all), at most ``size`` bytes of them, what was asked for least lately
    goes first. Others may keep what does not depend on the user for ``public`` seconds."""

    seconds: Annotated[float, Meta(ge=0)] = 0.0
    size: Annotated[int, Meta(ge=1)] = 64 << 20
    public: Annotated[int, Meta(ge=0)] = 60


class Cache(Generic[Value]):
    """``weigh`` gives the bytes of a value, None where it is not to be kept. ``clock`` is monotonic."""

    def __init__(
        self,
        settings: CacheSettings,
        weigh: Callable[[Value], int | None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings, self.weigh, self.clock = settings, weigh, clock
        self.bytes = 0
        self._kept: OrderedDict[bytes, tuple[float, int, Value]] = OrderedDict()  # until when, bytes, what
        self._making: dict[bytes, asyncio.Future[Value]] = {}

    async def get(self, key: bytes, make: Callable[[], Awaitable[Value]]) -> tuple[Value, Outcome]:
        """What is kept under the key, or what ``make`` gives, which is not called again while somebody waits for it.
        Raises what it raises, to all who wait."""
        until, _, value = self._kept.get(key, (0.0, 0, None))
        if value is not None and until > self.clock():
            self._kept.move_to_end(key)
            return value, "hit"
        while (running := self._making.get(key)) is not None:
            try:
                return await asyncio.shield(running), "joined"
            except asyncio.CancelledError:
                if not running.cancelled():
                    raise  # it is this one that nobody waits for any more
        return await self._made(key, make), "miss"

    def clear(self) -> None:
        """Forget all that is kept; what is being made now is not kept either."""
        self._kept.clear()
        self._making.clear()
        self.bytes = 0

    async def _made(self, key: bytes, make: Callable[[], Awaitable[Value]]) -> Value:
        running = self._making[key] = asyncio.get_running_loop().create_future()
        try:
            value = await make()
        except asyncio.CancelledError:
            running.cancel()
            raise
        except Exception as error:
            running.set_exception(error)
            running.exception()  # there may be nobody else to look at it
            raise
        finally:
            current = self._making.get(key) is running
            if current:
                del self._making[key]
        running.set_result(value)
        if current:
            self._keep(key, value)
        return value

    def _keep(self, key: bytes, value: Value) -> None:
        size = self.weigh(value) if self.settings.seconds else None
        if size is None or size + len(key) > self.settings.size:
            return
        size += len(key)
        self._drop(key)
        self._kept[key] = self.clock() + self.settings.seconds, size, value
        self.bytes += size
        while self.bytes > self.settings.size:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: bytes) -> None:
        _, size, _ = self._kept.pop(key, (0.0, 0, None))
        self.bytes -= size
