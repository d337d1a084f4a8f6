"""What stands behind the routes: the bundles, and what is known of those who ask."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from serving_min.asks import Asked
from serving_min.engine import Engine
from serving_min.fleet.fleet import Fleet
from serving_min.messages import Request
from serving_min.settings import Settings
from serving_min.visitors import Visitors


class Shop:
    """Answers requests to any surface, from ``engine`` until its ``path`` is loaded anew. ``start`` and ``stop`` it
    within the event loop that asks. Raises BundleError when another bundle that the settings name does not verify."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings | None = None,
        *,
        path: Path | None = None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings or Settings()
        self.timer = timer
        self.fleet = Fleet(engine, self.settings.fleet, path=path, waiting=self.settings.waiting, timer=timer)
        state, log = self.settings.state.open(), self.settings.log.open()
        self.visitors = Visitors(state, log, salt=self.settings.salt, clock=engine.clock)

    @property
    def engine(self) -> Engine:
        """The live one."""
        return self.fleet.engine

    @property
    def busy(self) -> bool:
        return self.fleet.busy

    async def start(self) -> None:
        await self.visitors.start()
        self.fleet.start()

    async def stop(self) -> None:
        """Answer what is queued, then end."""
        await self.fleet.stop()
        await self.visitors.stop()

    async def answer(self, surface: str, request: Request) -> bytes:
        """The JSON of an ``Answer``. Raises what ``Engine.check`` does, and BusyError."""
        asked = Asked(request, surface, self.timer() + self.settings.deadline)
        self.engine.check(asked)
        with self.fleet.chosen(request, surface) as deployment:
            if request.user_id is not None:
                remembered = await self.visitors.remember(request, deployment.engine.bundle, surface)
                asked = replace(asked, request=remembered.request, dismissed=remembered.dismissed)
            answered = await self.fleet.answer(deployment, asked)
        self.visitors.was_answered(answered.served, answered.engine.bundle.items.ids)
        return answered.body
