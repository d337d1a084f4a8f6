from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving_min.cache import Cache, CacheSettings
from serving_min.errors import BusyError


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def cache(seconds: float = 10, size: int = 100, clock: Clock | None = None) -> Cache[str]:
    """Of strings, which weigh as many bytes as they have letters, and their keys; what begins with "!" is not kept."""
    settings = CacheSettings(seconds, size)
    return Cache(settings, lambda text: None if text.startswith("!") else len(text), clock=clock or Clock())


def makes(text: str, made: list[str], wait: float = 0) -> Callable[[], Awaitable[str]]:
    async def make() -> str:
        made.append(text)
        await asyncio.sleep(wait)
        return text

    return make


def test_kept_until_it_is_old() -> None:
    async def scenario() -> None:
        clock, made = Clock(), list[str]()
        kept = cache(clock=clock)
        assert await kept.get(b"k", makes("one", made)) == ("one", "miss")
        clock.now = 9.9
        assert await kept.get(b"k", makes("two", made)) == ("one", "hit")
        clock.now = 10
        assert await kept.get(b"k", makes("three", made)) == ("three", "miss")
        assert kept.bytes == len("kthree")
        kept.clear()
        assert (await kept.get(b"k", makes("four", made)))[1] == "miss"
        assert made == ["one", "three", "four"]

    asyncio.run(scenario())


def test_what_was_asked_for_least_lately_makes_room() -> None:
    async def scenario() -> None:
        made = list[str]()
        kept = cache(size=12)
        for key in (b"a", b"b"):
            await kept.get(key, makes("12345", made))
        await kept.get(b"a", makes("", made))
        await kept.get(b"c", makes("123", made))
        assert [(await kept.get(key, makes("", made)))[1] for key in (b"a", b"c", b"b")] == ["hit", "hit", "miss"]
        await kept.get(b"d", makes("x" * 12, made))
        assert (await kept.get(b"d", makes("", made)))[1] == "miss", "larger than all that may be kept"
        await kept.get(b"e", makes("!", made))
        assert (await kept.get(b"e", makes("!", made)))[1] == "miss"

    asyncio.run(scenario())


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 12), st.integers(0, 4)), max_size=40))
def test_never_more_bytes_than_allowed_and_never_another_answer(asked: list[tuple[int, int, int]]) -> None:
    async def scenario() -> None:
        clock = Clock()
        kept = cache(seconds=5, size=20, clock=clock)
        for key, length, later in asked:
            clock.now += later
            text, _ = await kept.get(str(key).encode(), makes(f"{key}" * length, []))
            assert set(text) <= {str(key)}
            assert kept.bytes == sum(size for _, size, _ in kept._kept.values()) <= 20

    asyncio.run(scenario())


def test_asked_at_once_it_is_made_once() -> None:
    async def scenario() -> None:
        made = list[str]()
        never = cache(seconds=0)
        answers = await asyncio.gather(*(never.get(b"k", makes(str(number), made, 0.01)) for number in range(5)))
        assert answers == [("0", "miss"), *[("0", "joined")] * 4]
        assert (await never.get(b"k", makes("again", made)))[1] == "miss", "nothing is kept"
        assert made == ["0", "again"]

    asyncio.run(scenario())


def test_who_waits_gets_the_error_too_and_the_next_one_tries_again() -> None:
    async def fail() -> str:
        await asyncio.sleep(0.01)
        raise BusyError("busy")

    async def scenario() -> None:
        kept = cache()
        failed = await asyncio.gather(*(kept.get(b"k", fail) for _ in range(3)), return_exceptions=True)
        assert [type(error) for error in failed] == [BusyError] * 3
        assert await kept.get(b"k", makes("fine", [])) == ("fine", "miss")
        with pytest.raises(BusyError):
            await kept.get(b"alone", fail)

    asyncio.run(scenario())


def test_one_that_leaves_spoils_it_for_nobody() -> None:
    async def scenario() -> None:
        made = list[str]()
        kept = cache()
        first, second, third = (
            asyncio.create_task(kept.get(b"k", makes(name, made, 0.02))) for name in ("1", "2", "3")
        )
        await asyncio.sleep(0.005)
        third.cancel()
        first.cancel()
        assert await second == ("2", "miss"), "somebody else makes it"
        assert made == ["1", "2"]
        for task in (first, third):
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(scenario())


def test_what_was_begun_before_a_clear_is_not_kept() -> None:
    async def scenario() -> None:
        kept = cache()
        running = asyncio.create_task(kept.get(b"k", makes("old", [], 0.01)))
        await asyncio.sleep(0)
        kept.clear()
        assert await kept.get(b"k", makes("new", [])) == ("new", "miss")
        assert await running == ("old", "miss")
        assert await kept.get(b"k", makes("", [])) == ("new", "hit")

    asyncio.run(scenario())
