"""Redis is killed under load and comes back: every request is answered, every accepted event is there in the end."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import httpx

from serving_min.state.redis import RedisStore
from tests.serving_min.process import running
from tests.serving_min.state.stores import RedisServer

USERS, EVENTS = 4, 90


def test_no_request_fails_and_no_event_is_lost(bundles: dict[str, Path], redis_server: RedisServer) -> None:
    statuses: list[int] = []
    done = [0] * USERS

    def visit(address: str, user: int) -> None:
        with httpx.Client(base_url=address, timeout=30) as client:
            for number in range(EVENTS):
                event = {"id": f"{user}-{number}", "user": f"u{user}", "item": f"item-{number}", "event": "view"}
                reported = client.post("/v1/events", json={"events": [event]})
                answered = client.post("/v1/recommend", json={"user_id": f"u{user}", "history": ["A"], "k": 2})
                statuses.extend([reported.status_code, answered.status_code])
                done[user] += 1
                time.sleep(0.005)

    def until(count: int) -> None:
        while min(done) < count and any(thread.is_alive() for thread in threads):
            time.sleep(0.01)

    with running(bundles["neighbours"], "--redis", redis_server.url) as server:
        threads = [threading.Thread(target=visit, args=(server.address, user)) for user in range(USERS)]
        for thread in threads:
            thread.start()
        until(EVENTS // 3)
        redis_server.kill()
        until(2 * EVENTS // 3)
        away = httpx.get(f"{server.address}/readyz").json()["state"]
        redis_server.start()
        for thread in threads:
            thread.join()
        deadline = time.monotonic() + 20
        state = away
        while not (state["reachable"] and state["delayed"] == 0) and time.monotonic() < deadline:
            time.sleep(0.05)
            state = httpx.get(f"{server.address}/readyz").json()["state"]
    assert (away["reachable"], away["delayed"] > 0) == (False, True)
    assert (state["reachable"], state["delayed"], state["lost"]) == (True, 0, 0)
    assert set(statuses) == {200}
    assert len(statuses) == 2 * USERS * EVENTS

    async def kept() -> list[list[str]]:
        store = RedisStore(redis_server.url, timeout=5)
        found = [await store.read(f"u{user}") for user in range(USERS)]
        await store.stop()
        return [sorted(touch.item for touch in touches) for touches in found]

    expected = sorted(f"item-{number}" for number in range(EVENTS))
    assert asyncio.run(kept()) == [expected] * USERS, "each once"
