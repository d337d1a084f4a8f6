"""Answers in batches that need no timer.

Whatever has queued while the last batch was made, and has come while its answers were sent, is the next one: alone, a
request waits for nobody; under load, many share what a call costs. Batches are made in the event loop, between looks at
the network: on one core nothing is quicker, since a thread would wait for the interpreter's lock and the loop for the
thread. Where an answer must not hold up others, because nobody needs it soon or it may be slow, ``apart`` makes them in
a thread.

The queue is bounded in length and in time, since a request that waits too long is better refused at once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Generic, TypeVar

from serving_min.errors import BusyError

LOG = logging.getLogger(__name__)
LOOKS = 2  # at the network between batches: the first is over before answers are sent that a task waits for
RECENT = 0.2  # the share of the latest batch in what the pace is said to be
Job = TypeVar("Job")
Result = TypeVar("Result")
Done = Callable[[Result | Exception], None]  # is called with what came of something, or went wrong


def _told(future: asyncio.Future[Result], outcome: Result | Exception) -> None:
    """What came of something, or went wrong, becomes of a ``future`` if anybody still waits for it."""
    if future.done():  # the client has gone
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


async def outcome_of(begin: Callable[[Done[Result]], None]) -> Result:
    """What ``begin`` tells whom it is given, or raises."""
    future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
    begin(partial(_told, future))
    return await future


class Batcher(Generic[Job, Result]):
    """Calls ``answer`` with at most ``largest`` jobs at a time, fewer if by the pace of the latest ones they would take
    more than ``longest`` seconds. At most ``waiting`` are in the queue, and not more than ``few`` if they would
    wait ``patience`` seconds. ``begin`` is called once, in the thread that answers."""

    def __init__(
        self,
        answer: Callable[[list[Job]], list[Result]],
        *,
        begin: Callable[[], None] = lambda: None,
        apart: bool = False,
        largest: int = 32,
        waiting: int = 512,
        few: int = 12,
        longest: float = 0.006,
        patience: float = 0.015,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.answer, self.begin, self.largest, self.waiting = answer, begin, largest, waiting
        self.few, self.longest, self.patience, self.timer = few, longest, patience, timer
        self._pace = self._between = 0.0  # seconds for a job, lately: to answer it, and what the loop did before that
        self._called = 0.0  # when the next batch was
        self._queue: deque[tuple[Job, Done[Result]]] = deque()
        self._thread = ThreadPoolExecutor(1, "batcher") if apart else None
        self._started = self._due = False
        self._refuses = False
        self._idle = asyncio.Event()
        self._idle.set()

    def full(self, coming: int = 0) -> bool:
        """Whether a job is refused, if so many others come before it. If so, the next batch waits for no further look:
        who came by then would only be refused."""
        waits = len(self._queue) + coming
        full = waits >= self.waiting or (waits > self.few and waits * (self._pace + self._between) > self.patience)
        self._refuses |= full
        return full

    @property
    def waits(self) -> int:
        """How many jobs are in the queue."""
        return len(self._queue)

    def start(self) -> None:
        if self._thread is None:
            self.begin()
        else:
            self._thread.submit(self.begin)
        self._started = True
        self._go_on()

    async def stop(self) -> None:
        """Answer what is queued, then end."""
        await self._idle.wait()
        self._started = False
        if self._thread is not None:
            await asyncio.to_thread(self._thread.shutdown)

    async def submit(self, job: Job) -> Result:
        """Raises BusyError when the queue is full, and whatever ``answer`` raises on this job."""
        return await outcome_of(partial(self.put, job))

    def put(self, job: Job, done: Done[Result]) -> None:
        """``done`` is called with what ``submit`` would return or raise, in the context that is now: nobody has to wait
        in a task of their own, which costs as much as to read a request. Raises BusyError when the queue is full."""
        if self.full():
            raise BusyError(f"{self.waits} requests are waiting already; try again in a second")
        context = copy_context()
        self._queue.append((job, lambda outcome: context.run(done, outcome)))
        self._idle.clear()
        self._go_on()

    def _go_on(self) -> None:
        """Make a batch of what has queued once the loop has looked at the network."""
        if self._started and self._queue and not self._due:
            self._due, self._called = True, self.timer()
            asyncio.get_running_loop().call_soon(self._look, LOOKS)

    def _look(self, left: int) -> None:
        size = self.largest if self._pace <= 0 else max(1, min(self.largest, int(self.longest / self._pace)))
        if left > 1 and len(self._queue) < size and not self._refuses:
            asyncio.get_running_loop().call_soon(self._look, left - 1)
        else:
            self._next(size)

    def _next(self, size: int) -> None:
        batch = [self._queue.popleft() for _ in range(min(size, len(self._queue)))]
        self._refuses = False
        looked = self.timer() - self._called  # at the network: under load, to refuse others
        self._between += RECENT * (looked / len(batch) - self._between)
        jobs = [job for job, _ in batch]
        if self._thread is None:
            self._deliver(batch, *self._timed(jobs))
        else:
            running = asyncio.get_running_loop().run_in_executor(self._thread, self._timed, jobs)
            running.add_done_callback(lambda done: self._deliver(batch, *done.result()))

    def _deliver(
        self, batch: list[tuple[Job, Done[Result]]], outcomes: list[Result | Exception], seconds: float
    ) -> None:
        """What took so many ``seconds`` to make."""
        began = self.timer()
        for (_, done), outcome in zip(batch, outcomes, strict=True):
            try:
                done(outcome)
            except Exception:  # it must not keep others from being told
                LOG.exception("nobody took an answer")
        seconds += self.timer() - began
        self._pace += RECENT * (seconds / len(batch) - self._pace)
        self._due = False
        if self._queue:
            self._go_on()
        else:
            self._idle.set()

    def _timed(self, jobs: list[Job]) -> tuple[list[Result | Exception], float]:
        began = self.timer()
        return self._outcomes(jobs), self.timer() - began

    def _outcomes(self, jobs: list[Job]) -> list[Result | Exception]:
        try:
            return [*self.answer(jobs)]
        except Exception as error:
            if len(jobs) == 1:
                return [error]
            return [outcome for job in jobs for outcome in self._outcomes([job])]  # one bad job must not spoil the rest
