"""One round trip for all who asked while the last one was under way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


class Rounds(Generic[Job, Result]):
    """Calls ``work`` with at most ``largest`` jobs, never twice at a time. When it fails, all who wait fail with it."""

    def __init__(self, work: Callable[[list[Job]], Awaitable[list[Result]]], *, largest: int = 500) -> None:
        self.work, self.largest = work, largest
        self._waiting: list[tuple[Job, asyncio.Future[Result]]] = []
        self._running: asyncio.Task[None] | None = None

    async def do(self, job: Job) -> Result:
        return await self._result(job)

    async def do_all(self, jobs: Sequence[Job]) -> list[Result]:
        """When one of them fails, what became of the others is not known."""
        return await asyncio.gather(*map(self._result, jobs))

    def _result(self, job: Job) -> asyncio.Future[Result]:
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((job, future))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return future

    async def _run(self) -> None:
        while self._waiting:
            batch = self._waiting[: self.largest]
            del self._waiting[: self.largest]
            try:
                results = await self.work([job for job, _ in batch])
            except Exception as error:
                for _, future in [*batch, *self._waiting]:
                    if not future.done():  # who asked may have gone
                        future.set_exception(error)
                self._waiting.clear()
                continue
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)
        self._running = None
