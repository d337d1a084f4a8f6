from __future__ import annotations

import asyncio
from contextvars import ContextVar
from threading import Event, get_ident

import pytest

from serving_min.batching import Batcher
from serving_min.errors import BusyError


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Note:
    """Gives jobs back as they are, and keeps the batches."""

    def __init__(self) -> None:
        self.made: list[list[int]] = []

    def __call__(self, jobs: list[int]) -> list[int]:
        self.made.append(jobs)
        return jobs


def test_what_queues_in_one_turn_of_the_loop_is_answered_together() -> None:
    batches: list[list[int]] = []

    def double(jobs: list[int]) -> list[int]:
        batches.append(jobs)
        return [2 * job for job in jobs]

    async def run() -> list[int]:
        batcher = Batcher(double, largest=4)
        batcher.start()
        results = await asyncio.gather(*(batcher.submit(job) for job in range(7)))
        await batcher.stop()
        return results

    assert asyncio.run(run()) == [0, 2, 4, 6, 8, 10, 12]
    assert batches == [[0, 1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(("largest", "batches"), [(4, [[1, 2], [3]]), (1, [[1], [2], [3]])])
def test_who_comes_one_turn_later_is_waited_for_unless_a_batch_is_full(largest: int, batches: list[list[int]]) -> None:
    note = Note()

    async def run() -> None:
        batcher = Batcher(note, largest=largest)
        batcher.start()
        answers = []
        for job, turns in ((1, 1), (2, 3), (3, 1)):  # turns of the loop until the next one comes
            answers.append(asyncio.create_task(batcher.submit(job)))
            for _ in range(turns):
                await asyncio.sleep(0)
        await asyncio.gather(*answers)
        await batcher.stop()

    asyncio.run(run())
    assert note.made == batches


def test_while_some_are_refused_nobody_is_waited_for() -> None:
    note = Note()

    async def run() -> list[int | BaseException]:
        batcher = Batcher(note, waiting=1)
        batcher.start()
        answers = [asyncio.create_task(batcher.submit(job)) for job in (1, 2)]
        await asyncio.sleep(0)
        answers.append(asyncio.create_task(batcher.submit(3)))
        results = await asyncio.gather(*answers, return_exceptions=True)
        await batcher.stop()
        return results

    first, second, third = asyncio.run(run())
    assert (first, third) == (1, 3)
    assert isinstance(second, BusyError)
    assert note.made == [[1], [3]], "the third would have been refused, had the first waited for another look"


def test_between_batches_the_loop_looks_at_others() -> None:
    batcher: Batcher[int, int] = Batcher(lambda jobs: jobs, largest=1)

    async def run() -> int:
        batcher.start()
        answers = [asyncio.create_task(batcher.submit(job)) for job in range(50)]
        for _ in range(5):
            await asyncio.sleep(0)
        done = sum(answer.done() for answer in answers)
        await asyncio.gather(*answers)
        await batcher.stop()
        return done

    assert asyncio.run(run()) < 50


def test_slow_jobs_are_answered_a_few_at_a_time() -> None:
    sizes: list[int] = []
    clock = Clock()

    def slowly(jobs: list[int]) -> list[int]:
        sizes.append(len(jobs))
        clock.now += 0.004 * len(jobs)
        return jobs

    async def run() -> None:
        batcher = Batcher(slowly, largest=8, longest=0.01, patience=1, timer=clock)
        batcher.start()
        for _ in range(30):
            await asyncio.gather(*(batcher.submit(job) for job in range(8)))
        await batcher.stop()

    asyncio.run(run())
    assert sizes[0] == 8, "nothing is known yet"
    assert sizes[-3:] == [2, 2, 2], "two take 8 ms, three would take 12"


def test_apart_what_queues_while_one_is_answered_is_answered_together() -> None:
    batches: list[list[int]] = []
    working, go_on = Event(), Event()

    def double(jobs: list[int]) -> list[int]:
        working.set()
        go_on.wait(5)
        batches.append(jobs)
        return [2 * job for job in jobs]

    async def run() -> list[int]:
        batcher = Batcher(double, apart=True, largest=4)
        batcher.start()
        first = asyncio.create_task(batcher.submit(0))
        await asyncio.to_thread(working.wait, 5)
        rest = [asyncio.create_task(batcher.submit(job)) for job in range(1, 7)]
        await asyncio.sleep(0)
        go_on.set()
        results = await asyncio.gather(first, *rest)
        await batcher.stop()
        return results

    assert asyncio.run(run()) == [0, 2, 4, 6, 8, 10, 12]
    assert batches == [[0], [1, 2, 3, 4], [5, 6]]


def test_one_bad_job_does_not_spoil_its_batch() -> None:
    def invert(jobs: list[int]) -> list[float]:
        return [1 / job for job in jobs]

    async def run() -> list[float | BaseException]:
        batcher = Batcher(invert)
        tasks = [asyncio.create_task(batcher.submit(job)) for job in (1, 0, 4)]
        await asyncio.sleep(0)
        batcher.start()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        await batcher.stop()
        return results

    good, bad, other = asyncio.run(run())
    assert (good, other) == (1, 0.25)
    assert isinstance(bad, ZeroDivisionError)


def test_a_full_queue_refuses_and_stop_answers_what_waits() -> None:
    async def run() -> list[int]:
        batcher: Batcher[int, int] = Batcher(lambda jobs: jobs, waiting=2)
        tasks = [asyncio.create_task(batcher.submit(job)) for job in range(2)]
        await asyncio.sleep(0)
        assert batcher.full()
        with pytest.raises(BusyError, match="2 requests are waiting"):
            await batcher.submit(9)
        batcher.start()
        await batcher.stop()
        return await asyncio.gather(*tasks)

    assert asyncio.run(run()) == [0, 1]


def test_a_client_that_left_harms_nobody() -> None:
    async def run() -> int:
        batcher: Batcher[int, int] = Batcher(lambda jobs: jobs)
        gone, there = (asyncio.create_task(batcher.submit(job)) for job in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        batcher.start()
        result = await there
        await batcher.stop()
        return result

    assert asyncio.run(run()) == 1


@pytest.mark.parametrize("apart", [False, True])
def test_begin_is_called_once_in_the_thread_that_answers(apart: bool) -> None:
    begun: list[int] = []

    async def run() -> list[int]:
        batcher: Batcher[int, int] = Batcher(
            lambda jobs: [get_ident()] * len(jobs), begin=lambda: begun.append(get_ident()), apart=apart
        )
        batcher.start()
        answers = [await batcher.submit(0), await batcher.submit(1)]
        await batcher.stop()
        return answers

    assert asyncio.run(run()) == begun * 2
    assert (begun == [get_ident()]) is not apart


def test_what_the_loop_does_between_batches_counts_as_waiting() -> None:
    clock = Clock()

    def quickly(jobs: list[int]) -> list[int]:
        clock.now += 0.001 * len(jobs)
        return jobs

    async def run(others: float) -> bool:
        batcher = Batcher(quickly, largest=1, few=1, patience=0.02, timer=clock)
        batcher.start()
        answers = [asyncio.create_task(batcher.submit(job)) for job in range(20)]
        while batcher.waits > 5 or not answers[0].done():
            clock.now += others
            await asyncio.sleep(0)
        full = batcher.full()
        await asyncio.gather(*answers)
        await batcher.stop()
        return full

    assert not asyncio.run(run(0.0)), "five wait five milliseconds"
    assert asyncio.run(run(0.009)), "five wait fifty"


def test_to_send_answers_takes_time_too() -> None:
    clock = Clock()

    def slowly(_: object) -> None:
        clock.now += 0.003

    async def run() -> int:
        batcher: Batcher[int, int] = Batcher(lambda jobs: jobs, few=1, patience=0.016, timer=clock)
        batcher.start()
        for _ in range(20):
            batcher.put(0, slowly)
            await batcher.submit(0)
        while not batcher.full() and batcher.waits < 100:
            batcher.put(0, slowly)
        queued = batcher.waits
        await batcher.stop()
        return queued

    assert asyncio.run(run()) == 11, "half of them took three milliseconds, so eleven take 16.5"


def test_more_than_a_batch_waits_only_if_it_is_not_for_long() -> None:
    clock = iter(range(0, 1_000, 10))  # each batch takes ten seconds

    async def run() -> list[int]:
        batcher: Batcher[int, int] = Batcher(lambda jobs: jobs, largest=2, few=2, patience=3, timer=lambda: next(clock))
        batcher.start()
        assert await batcher.submit(0) == 0
        await batcher.stop()
        waiting = [asyncio.create_task(batcher.submit(job)) for job in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(BusyError, match="3 requests are waiting"):  # two seconds for each
            await batcher.submit(9)
        for task in waiting:
            task.cancel()
        return [batcher.waits]

    assert asyncio.run(run()) == [3]


def test_who_does_not_wait_in_a_task_is_told_in_the_context_in_which_it_asked(caplog: pytest.LogCaptureFixture) -> None:
    who: ContextVar[str] = ContextVar("who", default="nobody")
    told: list[tuple[str, float | Exception]] = []

    def invert(jobs: list[int]) -> list[float]:
        return [1 / job for job in jobs]

    def note(outcome: float | Exception) -> None:
        told.append((who.get(), outcome))
        if outcome == 1:
            raise RuntimeError("whoever asked cannot take it")

    async def run() -> None:
        batcher = Batcher(invert)
        batcher.start()
        for name, job in (("first", 1), ("second", 0), ("third", 4)):
            before = who.set(name)
            batcher.put(job, note)
            who.reset(before)
        assert await batcher.submit(2) == 0.5
        await batcher.stop()

    asyncio.run(run())
    (first, second, third) = told
    assert (first, third) == (("first", 1), ("third", 0.25))
    assert second[0] == "second"
    assert isinstance(second[1], ZeroDivisionError)
    assert "RuntimeError: whoever asked cannot take it" in caplog.text
