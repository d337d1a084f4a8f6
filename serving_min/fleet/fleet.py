"""Several bundles behind one door: the live one, those that share its requests, a canary, a shadow.

All but ``verified`` loading happens in the event loop that asks, so nothing here needs a lock.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from math import fsum
from pathlib import Path
from typing import Any

from serving_min.asks import Asked
from serving_min.assortment.changes import Assortment, Changes
from serving_min.assortment.keeper import Keeper, Receipt
from serving_min.engine import Engine
from serving_min.errors import BusyError, ReleaseError, ServingError
from serving_min.fleet.deployment import MODEL_FAILED, Answered, Deployment
from serving_min.fleet.health import Budget, Health
from serving_min.fleet.settings import FleetSettings, Other
from serving_min.fleet.shadow import Comparison
from serving_min.fleet.shares import chosen, place
from serving_min.fleet.status import Member, Status
from serving_min.messages import Request
from serving_min.releases import live_bundle
from serving_min.verification import verified

LOG = logging.getLogger(__name__)
LIVE = "live"


@dataclass
class Companion:
    """An ``other`` with its deployment."""

    other: Other
    deployment: Deployment
    comparison: Comparison = field(default_factory=Comparison)


class Fleet:
    """``path`` is the live bundle's folder or a registry: ``reload`` looks there. ``start`` and ``stop`` it within the
    event loop that asks."""

    def __init__(
        self,
        live: Engine,
        settings: FleetSettings | None = None,
        *,
        path: Path | None = None,
        waiting: int = 512,
        timer: Callable[[], float] = time.monotonic,
        keeper: Keeper | None = None,
        load: Callable[[Path | str], Engine] = verified,
    ) -> None:
        """Loads the ``others``: raises BundleError when one of them does not verify. The ``keeper`` knows what was said
        of items since the bundles were made."""
        self.settings = settings or FleetSettings()
        self.path, self.waiting, self.timer, self.load = path, waiting, timer, load
        self.keeper = Keeper() if keeper is None else keeper
        self.left: list[str] = []
        self.rolled_back: Callable[[str], None] = lambda _: None  # called with the bundle of a canary that leaves
        self.live = self._deployed(live, self.settings.budget)
        self._others = {one.bundle: self._companion(one, self.settings.budget) for one in self.settings.others}
        self._changing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._weigh()

    @property
    def engine(self) -> Engine:
        """The live one."""
        return self.live.engine

    @property
    def alone(self) -> bool:
        """Whether there is but the live one."""
        return not self._others

    def busy(self, coming: int) -> bool:
        """Whether the live one refuses a request, if so many others come before it."""
        return self.live.busy(coming)

    @property
    def waits(self) -> int:
        """How many requests are in the queues."""
        return sum(deployment.waits for deployment in self._deployments())

    def start(self) -> None:
        for deployment in self._deployments():
            deployment.start()

    async def stop(self) -> None:
        """Answer what is queued, then end."""
        await asyncio.gather(*self._tasks)
        await asyncio.gather(*(deployment.stop() for deployment in self._deployments()))

    def chosen(self, request: Request, surface: str) -> Deployment:
        """Who answers this request: use it as a context manager, within which it stays loaded. The same for all
        requests of a user, but where it lacks the surface."""
        name = LIVE if len(self._weights) == 1 else chosen(_key(request), self._weights)
        deployment = self.live if name == LIVE else self._others[name].deployment
        return deployment if surface in deployment.engine.bundle.surfaces else self.live

    def able(self, deployment: Deployment, asked: Asked) -> Deployment:
        """The one ``chosen``; where only the live one can answer, that, and it counts as a failure. Raises what
        ``Engine.check`` does where neither can."""
        try:
            deployment.engine.check(asked)
        except ServingError:
            if deployment is self.live:
                raise
            self.live.engine.check(asked)
            deployment.record(failed=True, seconds=0.0)
            self._judge()
            return self.live
        return deployment

    async def answer(self, deployment: Deployment, asked: Asked) -> Answered:
        """The answer of the one ``chosen``; where it or its model fails, the live one's. Raises what
        ``Deployment.answer`` does."""
        try:
            answered = await deployment.answer(asked)
        except Exception as error:
            if deployment is self.live:
                raise
            answered = await self._instead(asked)  # raises where the request itself is wrong
            if isinstance(error, ServingError):  # others count already
                deployment.record(failed=True, seconds=0.0)
        else:
            if deployment is not self.live and answered.served.answer.fallback == MODEL_FAILED:
                with suppress(BusyError):  # then the fallback is better than nothing
                    answered = await self._instead(asked)
        for companion in self._others.values():
            self._follow(companion, asked, answered)
        self._judge()
        return answered

    async def _instead(self, asked: Asked) -> Answered:
        with self.live as live:
            return await live.answer(asked)

    async def reload(self, folder: Path | None = None) -> Path:
        """Load what is live now, or else what is in ``folder``, beside what was, verify it, and let it answer all
        requests from then on: its folder.

        Raises BundleError or ReleaseError, and then nothing has changed.
        """
        if self.path is None:
            raise ReleaseError("this server was not started from a folder, so there is nothing to load again")
        async with self._changing:
            path, budget = self.path, self.settings.budget
            found = await asyncio.to_thread(live_bundle, path) if folder is None else folder
            deployed = await asyncio.to_thread(lambda: self._deployed(self.load(found), budget))
            before, self.live = self.live, deployed
            self.live.start()
            self._spawn(before.retire())
        return found

    async def tell(self, changes: Changes) -> Receipt:
        """Let items come, change or go, in all bundles at once. Raises RequestError when there are too many, or the
        live bundle's item tower cannot read them; then nothing has changed."""
        async with self._changing:
            return await self._told(*self.keeper.after(changes, self.live.own))

    async def refresh(self) -> Receipt:
        """Hear what was told to other processes."""
        async with self._changing:
            return await self._told(None, self.keeper.refresh())

    async def _told(self, changes: Changes | None, said: Assortment) -> Receipt:
        with ExitStack() as held:
            deployments = [held.enter_context(one) for one in self._deployments()]
            informed = await asyncio.to_thread(lambda: [self.keeper.informed(one.own, said) for one in deployments])
            if changes is not None:
                self.keeper.keep(changes, said)
            for deployment, engine in zip(deployments, informed, strict=True):
                deployment.engine = engine
        return self.keeper.receipt(self.live.own, self.engine)

    async def change(self, settings: FleetSettings) -> None:
        """Take other bundles in, change their shares, let them go; a canary that leaves meanwhile stays away. Raises
        BundleError, and then nothing has changed."""
        async with self._changing:
            news = [other for other in settings.others if other.bundle not in self._others]
            loaded = await asyncio.to_thread(lambda: [self._companion(other, settings.budget) for other in news])
            before = self._others
            there = {**before, **{companion.other.bundle: companion for companion in loaded}}
            for companion in loaded:
                companion.deployment.start()
            self.settings, self._others = settings, {}
            for other in settings.others:
                if other.bundle in there:
                    self._others[other.bundle] = there[other.bundle]
                    self._others[other.bundle].other = other
            self._weigh()
            for deployment in self._deployments():
                deployment.health.judge_by(settings.budget)
            for companion in before.values():
                if companion.other.bundle not in self._others:
                    self._spawn(companion.deployment.retire())

    def status(self) -> Status:
        live = _member(LIVE, self._weights[LIVE], self.live)
        return Status([live, *(self._member(companion) for companion in self._others.values())], self.left)

    def _deployments(self) -> list[Deployment]:
        return [self.live, *(companion.deployment for companion in self._others.values())]

    def _deployed(self, engine: Engine, budget: Budget, *, apart: bool = False) -> Deployment:
        health = Health(budget)
        informed = self.keeper.informed(engine)
        return Deployment(informed, own=engine, waiting=self.waiting, apart=apart, health=health, timer=self.timer)

    def _companion(self, other: Other, budget: Budget) -> Companion:
        return Companion(other, self._deployed(self.load(other.bundle), budget, apart=True))

    def _weigh(self) -> None:
        shares = {name: one.other.share for name, one in self._others.items() if one.other.role != "shadow"}
        self._weights = {LIVE: max(0.0, 1 - fsum(shares.values())), **shares}

    def _follow(self, companion: Companion, asked: Asked, answered: Answered) -> None:
        other = companion.other
        if other.role == "shadow" and place(_key(asked.request), f"shadow {other.bundle}") < other.share:
            companion.deployment.hold()  # from now on: the task may begin when it has been let go
            self._spawn(_compared(companion, asked, answered))

    def _judge(self) -> None:
        for name, companion in list(self._others.items()):
            if companion.other.role == "canary" and (complaint := companion.deployment.health.complaint) is not None:
                del self._others[name]
                self._weigh()
                manifest = companion.deployment.engine.bundle.manifest
                self.left.append(f"{manifest.name} {manifest.version} ({name}): {complaint}")
                LOG.warning("the canary is rolled back: %s", self.left[-1])
                self._spawn(companion.deployment.retire())
                self.rolled_back(name)

    def _member(self, companion: Companion) -> Member:
        return _member(companion.other.role, companion.other.share, companion.deployment, companion)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _compared(companion: Companion, asked: Asked, answered: Answered) -> None:
    deployment = companion.deployment
    try:
        shadow = await deployment.answer(asked)
    except Exception as error:
        if isinstance(error, ServingError):  # others count already
            deployment.record(failed=True, seconds=0.0)
        LOG.info("shadow %s failed: %s", companion.other.bundle, error)
    else:
        companion.comparison.record(answered.served.answer, shadow.served.answer)
    finally:
        deployment.release()


def _member(role: str, share: float, deployment: Deployment, companion: Companion | None = None) -> Member:
    manifest, health = deployment.engine.bundle.manifest, deployment.health
    counts = (deployment.answered, deployment.failed, health.slow, len(health))
    if companion is None:
        return Member(role, share, manifest.name, manifest.version, *counts)
    seen = companion.comparison
    more = (companion.other.bundle, seen.compared, seen.same, seen.overlap)
    return Member(role, share, manifest.name, manifest.version, *counts, *more)


def _key(request: Request) -> str:
    return request.user_id or request.request_id or ""
