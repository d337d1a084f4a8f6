"""Answers off the event loop, in batches that need no timer.

One worker thread takes whatever has queued, while the next batch forms behind its back: alone,
a request waits for nobody; under load, many share the cost of one hand-over. The queue is bounded in length and in
time, since a request that waits too long is better refused at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

from serving_min.errors import BusyError

RECENT = 0.2  # the share of the latest batch in what the pace is said to be
Job = TypeVar("Job")
Result = TypeVar("Result")


class Batcher(Generic[Job, Result]):
    """Calls ``answer`` with at most ``largest`` jobs at a time, at most ``waiting`` in the queue, and not more than
    one batch if by the pace of the latest ones they would wait ``patience`` seconds. ``begin`` is called once, in the
    thread that answers."""

    def __init__(
        self,
        answer: Callable[[list[Job]], list[Result]],
        *,
        begin: Callable[[], None] = lambda: None,
        largest: int = 32,
        waiting: int = 512,
        patience: float = 0.025,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.answer, self.begin, self.largest, self.waiting = answer, begin, largest, waiting
        self.patience, self.timer = patience, timer
        self._pace = 0.0  # seconds for a job, lately
        self._queue: SimpleQueue[tuple[Job, asyncio.Future[Result]] | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name="batcher", daemon=True)

    @property
    def full(self) -> bool:
        waits = self._queue.qsize()
        return waits >= self.waiting or (waits > self.largest and waits * self._pace > self.patience)

    @property
    def waits(self) -> int:
        """How many jobs are in the queue."""
        return self._queue.qsize()

    def start(self) -> None:
        self._thread.start()

    async def stop(self) -> None:
        """Answer what is queued, then end."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    async def submit(self, job: Job) -> Result:
        """Raises BusyError when the queue is full, and whatever ``answer`` raises on this job."""
        if self.full:
            raise BusyError(f"{self.waits} requests are waiting already; try again in a second")
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._queue.put((job, future))
        return await future

    def _work(self) -> None:
        self.begin()
        while (first := self._queue.get()) is not None:
            batch, ended = [first], False
            while len(batch) < self.largest and not ended:
                try:
                    entry = self._queue.get_nowait()
                except Empty:
                    break
                if entry is None:
                    ended = True
                else:
                    batch.append(entry)
            began = self.timer()
            outcomes = self._outcomes([job for job, _ in batch])
            self._pace += RECENT * ((self.timer() - began) / len(batch) - self._pace)
            loop = batch[0][1].get_loop()
            loop.call_soon_threadsafe(_deliver, [future for _, future in batch], outcomes)
            if ended:
                return

    def _outcomes(self, jobs: list[Job]) -> list[Result | Exception]:
        try:
            return [*self.answer(jobs)]
        except Exception as error:
            if len(jobs) == 1:
                return [error]
            return [outcome for job in jobs for outcome in self._outcomes([job])]  # one bad job must not spoil the rest


def _deliver(futures: list[asyncio.Future[Result]], outcomes: list[Result | Exception]) -> None:
    for future, outcome in zip(futures, outcomes, strict=True):
        if future.done():  # the client has gone
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
