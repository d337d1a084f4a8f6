"""What stands behind the routes: the bundles, and what is known of those who ask."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from serving_min.asks import Asked
from serving_min.assortment.keeper import Keeper
from serving_min.batching import Done
from serving_min.cache import Cache, Outcome
from serving_min.engine import Engine
from serving_min.erasure import Erasure
from serving_min.events import Batch, Receipt
from serving_min.fleet.deployment import Answered, Deployment
from serving_min.fleet.fleet import Fleet
from serving_min.given import Fingerprints, Given, weigh
from serving_min.guard import Gate
from serving_min.lately import Lately
from serving_min.messages import Request
from serving_min.observation import Observation, watched
from serving_min.settings import Settings
from serving_min.state.recall import Remembered
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
        self.coming = 0  # requests that are read, and not yet in a queue
        keeper = Keeper.open(self.settings.items, path)
        waiting = self.settings.waiting
        self.fleet = Fleet(engine, self.settings.fleet, path=path, waiting=waiting, timer=timer, keeper=keeper)
        state, log = self.settings.state.open(), self.settings.log.open()
        self.visitors = Visitors(state, log, salt=self.settings.salt, clock=engine.clock)
        self.gate = Gate.read(self.settings.doors.keys)
        self.cache: Cache[Given] = Cache(self.settings.cache, weigh)
        self.lately = Lately() if self.settings.cache.seconds else None
        self.fingerprints = Fingerprints(kept=self.settings.cache.seconds > 0)
        audit = self.settings.doors.audit
        self.erasure = Erasure(self.visitors, None if audit is None else Path(audit), forgotten=self.cache.clear)
        self.observation = Observation.of(self.settings)
        self.observation.meters.watch(*watched(self.fleet, self.visitors))

    @property
    def engine(self) -> Engine:
        """The live one."""
        return self.fleet.engine

    @property
    def busy(self) -> bool:
        return self.fleet.busy(self.coming)

    async def start(self) -> None:
        await self.visitors.start()
        self.fleet.start()
        await self.observation.start()

    async def stop(self) -> None:
        """Answer what is queued, then end."""
        await self.fleet.stop()
        await self.visitors.stop()
        await self.observation.stop()

    async def answer(self, surface: str, request: Request) -> Given:
        """Its ``body`` is the JSON of an ``Answer``. Raises what ``Engine.check`` does, and BusyError."""
        began = self.timer()
        asked = self._asked(surface, request, began)
        with self.fleet.chosen(request, surface) as chosen, self.fleet.able(chosen, asked) as deployment:
            if request.user_id is not None:
                remembered = await self.visitors.remember(request, deployment.engine.bundle, surface)
                asked = _recalled(asked, remembered)
            key = self.fingerprints.of(deployment.engine, asked)
            if key is None:
                given, outcome = await self._made(deployment, asked), None
            else:
                given, outcome = await self.cache.get(key, lambda: self._made(deployment, asked))
        self._note(given, request, asked, outcome, began)
        return given

    def begin(self, surface: str, request: Request, done: Done[Given]) -> bool:
        """Whether nothing but the queue is to be waited for. Then ``done`` is called with what ``answer`` would return
        or raise, and no task is needed. Raises what it raises at once."""
        live = self.fleet.live
        if not self.fleet.alone or surface not in live.engine.bundle.surfaces:
            return False
        began = self.timer()
        asked = self._asked(surface, request, began)
        live.engine.check(asked)
        if request.user_id is not None:
            remembered = self.visitors.at_once(request, live.engine.bundle, surface)
            if remembered is None:
                return False
            asked = _recalled(asked, remembered)
        if self.fingerprints.comparable(live.engine, asked):
            return False

        def finish(answered: Answered | Exception) -> None:
            live.release()
            if isinstance(answered, Exception):
                done(answered)
                return
            try:
                given = self._given(answered)
                self._note(given, request, asked, None, began)
            except Exception as error:
                done(error)
            else:
                done(given)

        live.begin(asked, finish)
        live.hold()  # in time: nobody is told at once
        return True

    async def report(self, batch: Batch, rejected: int = 0, error: str = "") -> Receipt:
        """Take in what visitors did; the rest of what was sent was ``rejected``."""
        receipt = await self.visitors.report(batch, self.engine.bundle.items.codes)
        receipt = replace(receipt, rejected=rejected, error=error)
        self.observation.reported(receipt)
        return receipt

    def _asked(self, surface: str, request: Request, began: float) -> Asked:
        return Asked(request, surface, began + self.settings.deadline, depth=self.visitors.log.candidates)

    async def _made(self, deployment: Deployment, asked: Asked) -> Given:
        return self._given(await self.fleet.answer(deployment, asked))

    def _given(self, answered: Answered) -> Given:
        self.observation.made(answered)
        line = self.visitors.line(answered.served, answered.engine.bundle.items.ids)
        return Given(answered.served.answer, line, answered.body, answered.batch)

    def _note(self, given: Given, request: Request, asked: Asked, outcome: Outcome | None, began: float) -> None:
        """The answer to a ``request``, of which more was ``asked`` if its user was known."""
        self.visitors.was_answered(given.line, request)
        self.observation.given(given, asked.request, outcome, self.timer() - began)


def _recalled(asked: Asked, remembered: Remembered) -> Asked:
    """With what the server saw of the user."""
    request, dismissed, recalled = remembered.request, remembered.dismissed, remembered.recalled
    return replace(asked, request=request, dismissed=dismissed, recalled=recalled)
