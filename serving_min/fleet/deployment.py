"""One loaded bundle that answers, and how it does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Self

import msgspec
from msgspec import Struct

from serving_min.asks import Asked
from serving_min.batching import Batcher, Done, outcome_of
from serving_min.engine import Engine, Served
from serving_min.errors import ServingError
from serving_min.fleet.health import Health
from serving_min.laps import Batch, lap, timed

MODEL_FAILED = "the model failed"
BROKEN = (MODEL_FAILED, "the deadline has passed")  # answers that a sound bundle would not have given


class Answered(Struct, frozen=True, eq=False):
    """An answer, its JSON, the engine that gave it, and the batch in which it did."""

    served: Served
    body: bytes
    engine: Engine
    batch: Batch


class Deployment:
    """``engine`` may be replaced while it answers, by another one of the ``bundle`` that knows more items: a batch that
    has begun ends with the one it began with. ``own`` is the one that knows the bundle's alone.

    It has a queue of its own, and ``apart`` a thread, so that a slow bundle delays nobody else's answers.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        waiting: int = 512,
        apart: bool = False,
        own: Engine | None = None,
        health: Health | None = None,
        timer: Callable[[], float] | None = None,
    ) -> None:
        self.engine = engine
        self.own = own or engine
        self.health = Health() if health is None else health  # an empty one is not true
        self.timer = timer or time.monotonic
        self.answered = self.failed = 0
        self._encode = msgspec.json.Encoder().encode
        self._queue: Batcher[Asked, Answered] = Batcher(
            self._answers, begin=self._begin, apart=apart, waiting=waiting, timer=self.timer
        )
        self._users = 0
        self._unused = asyncio.Event()
        self._unused.set()

    def busy(self, coming: int) -> bool:
        """Whether a request is refused, if so many others come before it."""
        return self._queue.full(coming)

    @property
    def waits(self) -> int:
        return self._queue.waits

    def start(self) -> None:
        self._queue.start()

    def hold(self) -> None:
        """It does not retire before a ``release``."""
        self._users += 1
        self._unused.clear()

    def release(self) -> None:
        self._users -= 1
        if not self._users:
            self._unused.set()

    def __enter__(self) -> Self:
        """It does not retire within this block."""
        self.hold()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    async def stop(self) -> None:
        """End once nobody holds it any more and all is answered. Choose it for no more requests before."""
        await self._unused.wait()
        await self._queue.stop()

    async def retire(self) -> None:
        """Stop, and let go of the bundle."""
        await self.stop()
        del self.engine, self.own  # the queue knows this object and this the queue: their memory would go much later

    async def answer(self, asked: Asked) -> Answered:
        """Raises what ``Engine.check`` does, and BusyError; neither counts as an answer."""
        return await outcome_of(partial(self.begin, asked))

    def begin(self, asked: Asked, done: Done[Answered]) -> None:
        """``done`` is called with what ``answer`` would return or raise. Raises BusyError at once."""
        began = self.timer()

        def counted(outcome: Answered | Exception) -> None:
            if not isinstance(outcome, ServingError):
                failed = isinstance(outcome, Exception) or outcome.served.answer.fallback in BROKEN
                self.record(failed=failed, seconds=self.timer() - began)
            done(outcome)

        self._queue.put(asked, counted)

    def record(self, *, failed: bool, seconds: float) -> None:
        """Count an answer, or what should have been one."""
        self.answered += 1
        self.failed += failed
        self.health.record(failed=failed, seconds=seconds)

    def _begin(self) -> None:
        self.engine.own_this_thread()

    def _answers(self, asked: Sequence[Asked]) -> list[Answered]:
        engine, batch = self.engine, timed()
        answers = engine.answer(asked)
        bodies = [self._encode(served.answer) for served in answers]
        lap("json")
        return [Answered(served, body, engine, batch) for served, body in zip(answers, bodies, strict=True)]
