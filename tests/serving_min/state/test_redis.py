"""Against a real redis-server, which dies and comes back."""

from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from serving_min.errors import BusyError, StartError
from serving_min.state.breaker import Breaker
from serving_min.state.redis import RedisStore
from serving_min.state.resilient import ResilientStore
from serving_min.state.store import Touch
from tests.serving_min.state.stores import RedisServer, arrival


class Counting(RedisStore):
    reads = 0

    async def read(self, user: str) -> list[Touch]:
        self.reads += 1
        return await super().read(user)


@asynccontextmanager
async def plain(server: RedisServer, **settings: int) -> AsyncIterator[RedisStore]:
    store = RedisStore(server.url, timeout=2, **settings)
    await store.start()
    yield store
    await store.stop()


def resilient(server: RedisServer, *, waiting: int = 100) -> ResilientStore:
    return ResilientStore(RedisStore(server.url, timeout=1), waiting=waiting, breaker=Breaker(first=0.02, longest=0.05))


async def until_back(store: ResilientStore) -> None:
    deadline = time.monotonic() + 10
    while not store.status().reachable:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def items(store: RedisStore | ResilientStore, user: str = "ann") -> str:
    return "".join(touch.item for touch in await store.read(user))


def test_the_latest_events_in_order_of_time_each_once(redis_server: RedisServer) -> None:
    async def scenario() -> None:
        async with plain(redis_server, kept=3) as store, plain(redis_server, kept=3) as other_process:
            batch = [arrival("1", "A", 10), arrival("2", "B", 30), arrival("3", "C", 20, event="purchase")]
            assert await store.add([*batch, arrival("2", "B", 30)]) == [True, True, True, False]
            assert await other_process.add([arrival("3", "C", 20), arrival("4", "D", 40)]) == [False, True]
            assert [(touch.item, touch.event, touch.time) for touch in await store.read("ann")] == [
                ("C", "purchase", 20),
                ("B", "view", 30),
                ("D", "view", 40),
            ]
            assert await items(store, "bob") == ""
            assert await store.add([]) == []
            assert await store.add([arrival("5", ""), arrival("5", "E")]) == [True, False]
            assert await items(store) == "CBD"

    asyncio.run(scenario())


def test_a_long_history_is_cut_to_its_end(redis_server: RedisServer) -> None:
    async def scenario() -> None:
        async with plain(redis_server) as store:
            names = [f"item-{number}" for number in range(2_000)]
            for start in range(0, 2_000, 100):
                await store.add([arrival(name, name) for name in names[start : start + 100]])
            assert [touch.item for touch in await store.read("ann")] == names[-200:]
            assert await store._redis.strlen("recsys:user:ann") <= 2 * 200 * 64
            assert await store.forget("ann") == 200

    asyncio.run(scenario())


def test_late_events_push_out_none_that_happened_after_them(redis_server: RedisServer) -> None:
    async def scenario() -> None:
        async with plain(redis_server) as store:
            await store.add([arrival("latest", "A]\n,", 9_000, event="purchase"), arrival("same second", "B", 9_000)])
            late = [arrival(str(number), f"item-{number}", 2_000 - number) for number in range(2_000)]
            for start in range(0, 2_000, 100):
                await store.add(late[start : start + 100])
            expected = [*(each.touch.item for each in late[197::-1] if each.touch), "A]\n,", "B"]
            assert [touch.item for touch in await store.read("ann")] == expected
            assert await store._redis.strlen("recsys:user:ann") <= 2 * 200 * 64

    asyncio.run(scenario())


def test_of_long_ids_those_stay_that_there_is_room_for(redis_server: RedisServer) -> None:
    async def scenario() -> None:
        async with plain(redis_server) as store:
            names = [f"{number:090}" for number in range(500)]
            for start in range(0, 500, 100):
                await store.add([arrival(name, name, int(name)) for name in names[start : start + 100]])
            found = [touch.item for touch in await store.read("ann")]
            assert found == names[-len(found) :]
            assert 100 < len(found) < 200
            assert await store._redis.strlen("recsys:user:ann") <= 2 * 200 * 64

    asyncio.run(scenario())


def test_where_a_users_name_is_taken_the_others_events_are_written(redis_server: RedisServer) -> None:
    async def scenario() -> None:
        async with plain(redis_server) as store:
            await store._redis.hset("recsys:user:bob", "not", "ours")
            batch = [arrival("1", "A"), arrival("2", "B", user="bob"), arrival("3", "C", user="cid"), arrival("4", "")]
            assert await store.add(batch) == [True] * 4
            assert [await items(store, user) for user in ("ann", "bob", "cid")] == ["A", "", "C"]
            await store._redis.delete("recsys:user:bob")
            assert await store.add(batch) == [False, True, False, False], "an id is kept with its event or not at all"
            assert [await items(store, user) for user in ("ann", "bob", "cid")] == ["A", "B", "C"]

    asyncio.run(scenario())


def test_what_redis_refuses_is_new_when_it_comes_again(redis_server: RedisServer) -> None:
    async def scenario() -> None:
        async with plain(redis_server) as store:
            await store._redis.execute_command("ACL", "SETUSER", "default", "-append")
            with pytest.raises(store.failures):
                await store.add([arrival("1", "A")])
            await store._redis.execute_command("ACL", "SETUSER", "default", "+append")
            assert await store.add([arrival("1", "A")]) == [True]
            assert await items(store) == "A"

    asyncio.run(scenario())


def test_many_who_ask_at_once_share_few_connections(redis_server: RedisServer) -> None:
    async def scenario() -> None:
        async with plain(redis_server) as store:
            await store.add([arrival(str(number), "A", user=f"u{number}") for number in range(0, 1_000, 2)])
            found = await asyncio.gather(*(store.read(f"u{number}") for number in range(1_000)))
            assert [len(touches) for touches in found] == [1, 0] * 500
            assert (await store._redis.info("clients"))["connected_clients"] <= 2

    asyncio.run(scenario())


def test_a_script_takes_a_hundred_events_however_they_come(redis_server: RedisServer) -> None:
    async def scenario() -> None:
        async with plain(redis_server) as store:
            await store.add([arrival("first", "A")])  # the script is known from now on
            for parts in (1, 500):
                await store._redis.config_resetstat()
                batch = [arrival(f"{parts} {number}", "A", user=str(number)) for number in range(500)]
                fresh = await asyncio.gather(*(store.add(batch[start::parts]) for start in range(parts)))
                assert [flag for flags in fresh for flag in flags] == [True] * 500
                assert (await store._redis.info("commandstats"))["cmdstat_evalsha"]["calls"] == 5

    asyncio.run(scenario())


def test_a_hundred_senders_of_the_same_event_count_once(redis_server: RedisServer) -> None:
    async def scenario() -> None:
        async with plain(redis_server) as store:
            fresh = await asyncio.gather(*(store.add([arrival("same", "A")]) for _ in range(100)))
            assert sum(flags[0] for flags in fresh) == 1
            assert await items(store) == "A"

    asyncio.run(scenario())


def test_users_and_ids_expire_and_users_can_be_forgotten(redis_server: RedisServer) -> None:
    async def scenario() -> None:
        async with plain(redis_server, ttl=100, window=10) as store:
            await store.add([arrival("1", "A"), arrival("2", "B"), arrival("3", "C", user="bob")])
            assert await store._redis.ttl("recsys:user:ann") == 100
            assert await store._redis.ttl("recsys:id:1") == 10
            assert await store.forget("ann") == 2
            assert (await items(store), await items(store, "bob")) == ("", "C")

    asyncio.run(scenario())


def test_killed_in_the_middle_nothing_is_lost_and_nobody_waits(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        store = resilient(redis_server)
        await store.start()
        assert await store.add([arrival("1", "A", 1)]) == [True]
        redis_server.kill()
        assert await items(store) == ""
        assert await store.add([arrival("2", "B", 2), arrival("2", "B", 2), arrival("1", "A", 1)]) == [
            True,
            False,
            True,  # that it is a duplicate shows when it is written
        ]
        assert await items(store) == "AB", "delayed events count at once"
        assert (store.status().reachable, store.status().delayed) == (False, 2)
        with pytest.raises(BusyError, match="has forgotten nothing; ask again"):
            await store.forget("bob")
        redis_server.start()
        await until_back(store)
        assert await items(store) == "AB"
        assert (store.status().delayed, store.status().lost) == (0, 0)
        redis_server.kill()
        redis_server.start()
        assert await store.add([arrival("3", "C", 3)]) == [True], "idle connections that died with it are no failure"
        await until_back(store)
        assert await items(store) == "ABC"
        await store.stop()

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    assert "away, answers use the request's own history" in caplog.messages[0]
    assert "back; 2 delayed events written, 0 lost so far" in caplog.messages[1]


def test_a_full_queue_loses_the_oldest_and_says_so(redis_server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        redis_server.kill()
        store = resilient(redis_server, waiting=2)
        await store.start()
        await store.add([arrival(name, name.upper()) for name in "abc"])
        assert (store.status().delayed, store.status().lost) == (2, 1)
        await store.stop()
        assert (store.status().delayed, store.status().lost) == (0, 3)

    asyncio.run(scenario())
    assert "2 delayed events are lost at the end" in caplog.text


def test_a_redis_that_hangs_costs_one_timeout(redis_server: RedisServer) -> None:
    async def scenario() -> None:
        asked = Counting(redis_server.url, timeout=0.05)
        store = ResilientStore(asked, breaker=Breaker(first=60))
        await store.start()
        redis_server.process.send_signal(signal.SIGSTOP)  # connections stay open, nothing answers
        for _ in range(50):
            assert await store.read("ann") == []
        assert not store.status().reachable
        assert asked.reads == 1
        redis_server.process.send_signal(signal.SIGCONT)
        await store.stop()

    asyncio.run(scenario())


def test_an_address_that_is_none() -> None:
    with pytest.raises(StartError, match="redis: 'localhost' is no address; write redis://HOST:PORT"):
        RedisStore("localhost")
    with pytest.raises(StartError) as raised:
        RedisStore("http://:secret@localhost")
    assert "secret" not in str(raised.value)


def test_the_package_is_only_asked_for_when_it_is_used() -> None:
    program = (
        "import sys; sys.modules['redis'] = None\n"
        "from serving_min.errors import StartError\n"
        "from serving_min.state.redis import RedisStore\n"
        "try: RedisStore('redis://x')\n"
        "except StartError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "redis: the package is missing; pip install redis\n"
