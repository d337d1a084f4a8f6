"""Events over HTTP, and what the next recommendation makes of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving_min.app import create_app
from serving_min.bundle import Bundle
from serving_min.engine import Engine
from serving_min.settings import Settings
from serving_min.shop import Shop
from serving_min.sinks.segments import finished
from tests.serving_min.handmade import NOW, write_bundle
from tests.serving_min.state.stores import RedisServer

Client = httpx.AsyncClient


@asynccontextmanager
async def serving(bundle: Path, **settings: Any) -> AsyncIterator[Client]:
    shop = Shop(Engine(Bundle.load(bundle), clock=lambda: NOW), Settings.read(**settings))
    await shop.start()
    transport = httpx.ASGITransport(create_app(shop))
    async with Client(transport=transport, base_url="http://shop") as client:
        yield client
    await shop.stop()


def asking(scenario: Callable[[Client], Awaitable[None]], bundle: Path, **settings: Any) -> None:
    async def run() -> None:
        async with serving(bundle, **settings) as client:
            await scenario(client)

    asyncio.run(run())


def event(identity: str, item: str, kind: str = "view", **more: Any) -> dict[str, Any]:
    return {"id": identity, "user": "ann", "item": item, "event": kind, **more}


async def report(client: Client, *events: dict[str, Any]) -> dict[str, int]:
    response = await client.post("/v1/events", json={"events": events})
    assert response.status_code == 200, response.text
    receipt: dict[str, int] = response.json()
    return receipt


async def shown(client: Client, surface: str = "recommend", **request: Any) -> str:
    response = await client.post(f"/v1/{surface}", json={"user_id": "ann", "k": 3, **request})
    assert response.status_code == 200, response.text
    return "".join(item["id"] for item in response.json()["items"])


def test_the_next_recommendation_knows_what_happened(bundles: dict[str, Path]) -> None:
    async def scenario(client: Client) -> None:
        assert await shown(client) == await shown(client, history=[]) == "BDC"
        receipt = await report(client, event("1", "D"), event("1", "D"), event("2", "nothing"))
        assert receipt == {"accepted": 2, "duplicates": 1, "unknown_items": 1}
        assert await shown(client) == await shown(client, user_id="bob", history=["D"]) == "EAB"
        response = await client.post("/v1/recommend", json={"user_id": "ann", "history": ["A"]})
        assert response.json()["unknown_items"] == []
        assert await shown(client, history=["A"]) == await shown(client, user_id="bob", history=["A", "D"])

    asking(scenario, bundles["vector"])


def test_what_was_bought_leaves_even_where_repeats_are_welcome(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle", "vector", exclude_seen=False)

    async def scenario(client: Client) -> None:
        await report(client, event("1", "A"))
        assert await shown(client) == "ABC"
        await report(client, event("2", "A", "purchase"))
        assert await shown(client) == "BCD"
        assert "A" in await shown(client, exclude_seen=False)
        assert await shown(client, "rank", items=["C", "B", "A"]) == "ABC"
        alike = await shown(client, "similar", item="B", user_id="bob")
        assert "A" in alike
        unwanted = alike.replace("A", "")[0]
        await report(client, event("3", unwanted, "dismiss"))
        assert not {"A", unwanted} & {*await shown(client, "similar", item="B")}, "on product pages too"

    asking(scenario, bundle)


def test_what_was_dismissed_leaves_and_comes_back_with_time(bundles: dict[str, Path]) -> None:
    async def scenario(client: Client) -> None:
        await report(client, event("1", "A"))
        assert await shown(client) == "BCD"
        await report(client, event("2", "B", "dismiss"))
        assert "B" not in await shown(client)
        assert "B" in await shown(client, now=NOW + 90 * 86_400)
        await report(client, event("3", "B", "click"))
        assert "B" not in await shown(client), "it has been seen"
        assert "B" in await shown(client, exclude_seen=False)

    asking(scenario, bundles["vector"])


def test_what_is_like_the_dismissed_sinks(bundles: dict[str, Path]) -> None:
    async def scenario(client: Client) -> None:
        asked = {"history": ["A"], "exclude_seen": False}
        assert await shown(client, **asked) == "ABC"
        await report(client, event("1", "C", "dismiss", time=NOW - 302_400))  # half a half-life ago: .71
        # A falls from 9 to 2.6, B from 6 to -.4, below D and E with 0; C from 3 to -3.4
        assert await shown(client, **asked, k=5) == "ADEBC"
        assert await shown(client, history=["D"], k=5) == "EAB", "the item itself leaves"

    asking(scenario, bundles["vector"])


def test_events_that_a_beacon_or_nobody_would_send(bundles: dict[str, Path]) -> None:
    async def scenario(client: Client) -> None:
        body = json.dumps({"events": [event("1", "D", position=None)]})
        beacon = await client.post("/v1/events", content=body, headers={"Content-Type": "text/plain;charset=UTF-8"})
        assert beacon.json() == {"accepted": 1, "duplicates": 0, "unknown_items": 0}
        for bad, says in [
            ({"events": [event("", "A")]}, "at `$.events[0].id`"),
            (
                {"events": [event("1", "A", "like")]},
                "'like' - at `$.events[0].event`; use view, click, cart, purchase, dismiss, impression",
            ),
            ({"events": [event("1", "A", time=NOW * 1000)]}, "at `$.events[0].time`"),
            ({"events": [event("1", "A", position=0)]}, "at `$.events[0].position`"),
            ({"events": [event("1", "A", color="red")]}, "unknown field `color`"),
            ({"events": [event(str(n), "A") for n in range(501)]}, "length <= 500"),
            ({}, "missing required field `events`"),
        ]:
            response = await client.post("/v1/events", json=bad)
            assert (response.status_code, says in response.json()["error"]) == (422, True), response.text
        script = await client.get("/tracker.js")
        assert script.headers["content-type"].startswith("text/javascript")
        assert "max-age" in script.headers["cache-control"]

    asking(scenario, bundles["static"])


def test_what_is_no_event_does_not_take_the_others_with_it(bundles: dict[str, Path]) -> None:
    async def scenario(client: Client) -> None:
        no_text, no_kind = {**event("2", "A"), "item": 12345}, event("3", "B", "like")
        assert await report(client, event("1", "A"), no_text, no_kind) == {
            "accepted": 1,
            "duplicates": 0,
            "unknown_items": 0,
            "rejected": 2,
            "error": "Expected `str`, got `int` - at `$.events[1].item`",
        }
        assert await shown(client) == "BCD"
        assert 'recsys_events_total{outcome="rejected"} 2' in (await client.get("/metrics")).text

    asking(scenario, bundles["vector"])


def test_every_answer_is_logged_with_candidates_and_propensities(bundles: dict[str, Path], tmp_path: Path) -> None:
    async def scenario(client: Client) -> None:
        await report(client, event("1", "A", request_id="r0", surface="home", position=1))
        await shown(client, request_id="r1")
        await client.get("/v1/similar/A?k=1", headers={"X-Request-Id": "r2"})
        status = (await client.get("/readyz")).json()
        assert status["state"] == {"store": "memory", "reachable": True, "delayed": 0, "lost": 0}
        assert status["log"]["lost"] == 0

    asking(scenario, bundles["vector"], log={"folder": str(tmp_path)}, salt="eight or more")
    lines = {
        path.relative_to(tmp_path).parts[0]: [json.loads(line) for line in path.read_text().splitlines()]
        for path in finished(tmp_path)
    }
    first, second = lines["answers"]
    assert lines["events"][0]["user"] == first["user"] != "ann"
    assert {name: first[name] for name in ("request_id", "surface", "model", "version", "now", "history")} == {
        "request_id": "r1",
        "surface": "recommend",
        "model": "test-vector",
        "version": "1",
        "now": NOW,
        "history": 1,
    }
    assert [(place["item"], place["position"], place["propensity"]) for place in first["shown"]] == [
        ("B", 1, 1.0),
        ("C", 2, 1.0),
        ("D", 3, 1.0),
    ]
    assert [candidate["item"] for candidate in first["candidates"]][:2] == ["B", "C"]
    assert (second["request_id"], second["surface"], second["user"]) == ("r2", "similar", "")
    scored = [(candidate["item"], candidate["score"]) for candidate in second["candidates"]]
    assert len(second["shown"]) == 1 < len(scored), "what was not shown is what a policy is compared by"
    assert scored[0] == (second["shown"][0]["item"], pytest.approx(second["shown"][0]["score"], abs=1e-5))


def test_propensities_are_of_the_items_that_were_drawn(tmp_path: Path) -> None:
    rules = {"exploration": {"share": 1.0, "popularity_below": 3.5}}  # A, C and E are little known
    surface = {"retrievers": [{"source": "given"}], "needs": "items", "seen": "keep", "rules": rules}
    bundle = write_bundle(tmp_path / "bundle", "vector", surfaces={"search": surface})

    async def scenario(client: Client) -> None:
        await client.post("/v1/search", json={"items": ["nobody knows", "B", "D", "A", "C", "E"], "k": 3})

    asking(scenario, bundle, log={"folder": str(tmp_path / "log")})
    (line,) = [json.loads(line) for path in finished(tmp_path / "log") for line in path.read_text().splitlines()]
    places = [(place["reason"], place["propensity"]) for place in line["shown"]]
    assert places == [("unknown", 1.0), ("new", 1.0), ("new", 0.5)], "C or E to D's place, the other to B's"


def test_a_log_can_do_without_candidates_that_were_not_shown(bundles: dict[str, Path], tmp_path: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.get("/v1/similar/A?k=1")

    asking(scenario, bundles["vector"], log={"folder": str(tmp_path), "candidates": 0})
    (line,) = [json.loads(line) for path in finished(tmp_path) for line in path.read_text().splitlines()]
    assert len(line["candidates"]) == 1


def test_answers_go_on_while_redis_is_away(bundles: dict[str, Path], redis_server: RedisServer) -> None:
    async def scenario(client: Client) -> None:
        await report(client, event("1", "D"))
        assert await shown(client) == "EAB"
        redis_server.kill()
        assert await shown(client) == "BDC"
        assert await shown(client, history=["D"]) == "EAB"
        assert (await report(client, event("2", "A")))["accepted"] == 1
        assert await shown(client) == await shown(client, user_id="bob", history=["A"])
        status = (await client.get("/readyz")).json()
        assert (status["status"], status["state"]["reachable"], status["state"]["delayed"]) == ("ready", False, 1)
        redis_server.start()
        for _ in range(100):
            await asyncio.sleep(0.05)
            if (await client.get("/readyz")).json()["state"]["reachable"]:
                break
        assert await shown(client) == await shown(client, user_id="bob", history=["D", "A"])

    asking(scenario, bundles["vector"], state={"redis": redis_server.url, "timeout": 1})


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ('[state]\nredis = "nowhere"', "redis: 'nowhere' is no address"),
        ('[log]\nurl = "s3://x"', "`url` needs `folder`"),
        ("[state]\nkept = 0", "at `$.state.kept`"),
        ('salt = "short"', "at `$.salt`"),
        ("state = 3", "at `$.state`"),
    ],
)
def test_settings_that_cannot_be(bundles: dict[str, Path], tmp_path: Path, toml: str, says: str) -> None:
    from serving_min.errors import StartError

    path = tmp_path / "settings.toml"
    path.write_text(toml)
    with pytest.raises(StartError) as raised:
        Shop(Engine(Bundle.load(bundles["static"])), Settings.read(path, state={"redis": None}))
    assert says in str(raised.value)


def test_options_go_before_the_file(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('port = 1\n[state]\nredis = "redis://file"\nkept = 7\n')
    read = Settings.read(path, port=2, state={"redis": "redis://option"}, log={"folder": None})
    assert (read.port, read.state.redis, read.state.kept, read.log.folder) == (2, "redis://option", 7, None)
