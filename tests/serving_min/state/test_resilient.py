"""Against a store that goes away and comes back when it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from serving_min.errors import BusyError
from serving_min.state.breaker import Breaker
from serving_min.state.memory import MemoryStore
from serving_min.state.resilient import ResilientStore
from serving_min.state.store import Arrival
from tests.serving_min.state.stores import arrival


class Moody(MemoryStore):
    """Refuses everything while it is ``away``; what is added waits for ``go``."""

    failures: tuple[type[Exception], ...] = (ConnectionError,)

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.adding, self.go = asyncio.Event(), asyncio.Event()

    async def start(self) -> None:
        self._answer()

    async def add(self, arrivals: Sequence[Arrival]) -> list[bool]:
        self._answer()
        self.adding.set()
        await self.go.wait()
        return await super().add(arrivals)

    async def forget(self, user: str) -> int:
        self._answer()
        return await super().forget(user)

    def _answer(self) -> None:
        if self.away:
            raise ConnectionError("away")


async def items(store: ResilientStore, user: str = "ann") -> str:
    return "".join(touch.item for touch in await store.read(user))


def test_nobody_is_waited_for_while_it_is_away() -> None:
    async def scenario() -> None:
        moody = Moody()
        store = ResilientStore(moody)
        await store.start()
        assert store.at_once("ann") is None
        moody.away = True
        await store.add([arrival("2", "B", 2), arrival("1", "A", 1), arrival("3", "C", 3, user="bob")])
        assert [touch.item for touch in store.at_once("ann") or []] == ["A", "B"]
        moody.away = False
        moody.go.set()
        await store.stop()

    asyncio.run(scenario())


def test_where_forgetting_is_refused_nothing_is_gone() -> None:
    async def scenario() -> None:
        moody = Moody()
        store = ResilientStore(moody)
        await store.start()
        moody.go.set()
        await store.add([arrival("1", "A", 1)])
        moody.away = True
        await store.add([arrival("2", "B", 2), arrival("3", "C", 3, user="bob")])
        with pytest.raises(BusyError, match="away \\(away\\) and has forgotten nothing; ask again"):
            await store.forget("ann")
        assert (await items(store), store.status().delayed) == ("B", 2)
        moody.away = False
        assert await store.forget("ann") == 2
        assert (await items(store), await items(store, "bob"), store.status().lost) == ("", "C", 0)
        await store.stop()

    asyncio.run(scenario())


def test_what_is_being_written_is_forgotten_too() -> None:
    async def scenario() -> None:
        moody = Moody()
        store = ResilientStore(moody, breaker=Breaker(first=0.001))
        moody.away = True
        await store.start()
        await store.add([arrival("1", "A")])
        moody.away = False
        await moody.adding.wait()
        forgetting = asyncio.create_task(store.forget("ann"))
        await asyncio.sleep(0)
        moody.go.set()
        assert await forgetting == 1
        async with asyncio.timeout(10):
            while not store.status().reachable:
                await asyncio.sleep(0.001)
        assert (await items(store), store.status().delayed) == ("", 0)
        await store.stop()

    asyncio.run(scenario())
