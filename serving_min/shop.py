"""What stands behind the routes: the engine and its queue."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec

from serving_min.asks import Asked
from serving_min.batching import Batcher
from serving_min.engine import Engine, Served
from serving_min.messages import Request
from serving_min.settings import Settings
from serving_min.visitors import Visitors


class Shop:
    """Answers requests to any surface. ``start`` and ``stop`` it within the event loop that asks."""

    def __init__(
        self, engine: Engine, settings: Settings | None = None, *, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self.engine = engine
        self.settings = settings or Settings()
        self.timer = timer
        state, log = self.settings.state.open(), self.settings.log.open()
        self.visitors = Visitors(state, log, salt=self.settings.salt, clock=engine.clock)
        self._encode = msgspec.json.Encoder().encode
        self._queue: Batcher[Asked, tuple[Served, bytes]] = Batcher(
            self._answers, begin=engine.own_this_thread, waiting=self.settings.waiting
        )

    @property
    def busy(self) -> bool:
        return self._queue.full

    async def start(self) -> None:
        await self.visitors.start()
        self._queue.start()

    async def stop(self) -> None:
        """Answer what is queued, then end."""
        await self._queue.stop()
        await self.visitors.stop()

    async def answer(self, surface: str, request: Request) -> bytes:
        """The JSON of an ``Answer``. Raises what ``Engine.check`` does, and BusyError."""
        asked = Asked(request, surface, self.timer() + self.settings.deadline)
        self.engine.check(asked)
        if request.user_id is not None:
            remembered = await self.visitors.remember(request, self.engine.bundle, surface)
            asked = replace(asked, request=remembered.request, dismissed=remembered.dismissed)
        served, answer = await self._queue.submit(asked)
        self.visitors.was_answered(served, self.engine.bundle.items.ids)
        return answer

    def _answers(self, asked: Sequence[Asked]) -> list[tuple[Served, bytes]]:
        return [(served, self._encode(served.answer)) for served in self.engine.answer(asked)]
