from __future__ import annotations

import asyncio

import pytest

from serving_min.state.rounds import Rounds


class Work:
    """Squares numbers; the first call waits for ``go``, a negative number fails."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.go = asyncio.Event()

    async def __call__(self, jobs: list[int]) -> list[int]:
        self.calls.append(jobs)
        await self.go.wait()
        if min(jobs) < 0:
            raise ConnectionError("away")
        return [job * job for job in jobs]


def test_all_who_came_meanwhile_share_the_next_call() -> None:
    async def scenario() -> None:
        work = Work()
        rounds = Rounds(work, largest=3)
        first = asyncio.create_task(rounds.do(1))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        others = [asyncio.create_task(rounds.do(number)) for number in (2, 3, 4, 5)]
        await asyncio.sleep(0)
        others[1].cancel()
        work.go.set()
        answers = await asyncio.gather(first, *others, return_exceptions=True)
        assert [answer for answer in answers if isinstance(answer, int)] == [1, 4, 16, 25]
        assert work.calls == [[1], [2, 3, 4], [5]]
        assert await rounds.do(6) == 36

    asyncio.run(scenario())


def test_many_jobs_of_one_are_done_in_as_many_calls_as_it_takes() -> None:
    async def scenario() -> None:
        work = Work()
        work.go.set()
        rounds = Rounds(work, largest=3)
        answers = await asyncio.gather(rounds.do_all([1, 2, 3, 4]), rounds.do(5), rounds.do_all([]))
        assert answers == [[1, 4, 9, 16], 25, []]
        assert work.calls == [[1, 2, 3], [4, 5]]
        with pytest.raises(ConnectionError, match="away"):
            await rounds.do_all([1, -2, 3, 4])

    asyncio.run(scenario())


def test_when_one_call_fails_nobody_waits_for_the_next() -> None:
    async def scenario() -> None:
        work = Work()
        rounds = Rounds(work)
        asked = [asyncio.create_task(rounds.do(-1))]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asked.append(asyncio.create_task(rounds.do(2)))
        await asyncio.sleep(0)
        work.go.set()
        for task in asked:
            with pytest.raises(ConnectionError, match="away"):
                await task
        assert work.calls == [[-1]]
        assert await rounds.do(3) == 9

    asyncio.run(scenario())
