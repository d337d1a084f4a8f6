"""Fleets of handmade bundles, some of which are broken."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from serving_min.asks import Asked
from serving_min.engine import Engine
from serving_min.fleet.fleet import Fleet
from serving_min.fleet.health import Budget
from serving_min.fleet.settings import FleetSettings, Other
from serving_min.messages import Answer, Request
from serving_min.vectors import Vectors
from tests.serving_min.handmade import NOW

RECOMMEND = "recommend"
Kinds = Callable[[str], Engine]


@dataclass
class Clock:
    """Seconds pass only when something takes them."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


class Broken(Engine):
    """An engine of which every ``each``-th batch raises, or takes ``seconds``."""

    def __init__(self, engine: Engine, clock: Clock, *, raises: bool = False, seconds: float = 0.0) -> None:
        super().__init__(engine.bundle, clock=lambda: NOW)
        self.time, self.raises, self.seconds = clock, raises, seconds

    def answer(self, asked: Any) -> Any:
        self.time.now += self.seconds
        if self.raises:
            raise MemoryError("the canary sings no more")
        return super().answer(asked)


async def ask(fleet: Fleet, user: str, **more: Any) -> Answer:
    request = Request(history=["A"], user_id=user, k=2, **more)
    with fleet.chosen(request, RECOMMEND) as deployment:
        return (await fleet.answer(deployment, Asked(request, RECOMMEND))).served.answer


def run(fleet: Fleet, scenario: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        fleet.start()
        await scenario()
        await fleet.stop()

    asyncio.run(whole())


def with_others(engine: Kinds, *others: Other, budget: Budget | None = None, **more: Any) -> Fleet:
    return Fleet(
        engine("vector"), FleetSettings(others, budget or Budget()), load=lambda name: engine(str(name)), **more
    )


class Mute:
    """An encoder that raises."""

    def run(self, *_: Any) -> Any:
        raise MemoryError("the canary has lost its voice")

    @classmethod
    def engine(cls, sound: Engine) -> Engine:
        assert isinstance(sound.bundle.model, Vectors)
        return Engine(replace(sound.bundle, model=replace(sound.bundle.model, encoder=cls())))
