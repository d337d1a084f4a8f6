"""The supervisor's side alone: workers are what they were asked, in order."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import msgspec
import pytest

from serving_min.fleet.settings import FleetSettings, Other
from serving_min.fleet.status import Member, Status
from serving_min.routes.supervised import BACK
from serving_min.workers import forwarding
from serving_min.workers.forwarding import FLEET, RELOAD, Forwarder, Reply

ONE, TWO, THREE = (Path(name) for name in ("one", "two", "three"))
OLD, NEW = Path("bundles/1"), Path("bundles/2")
CANARY, SHARE = Other("c", "canary", 0.5), Other("s", "share", 0.25)
Answers = Callable[[Path, str, str, bytes], bytes]


def answering(monkeypatch: pytest.MonkeyPatch, answer: Answers) -> None:
    def ask(door: Path, method: str, path: str, _: dict[str, str], body: bytes) -> Reply:
        return Reply(200, answer(door, method, path, body))

    monkeypatch.setattr(forwarding, "_ask", ask)


def status(*others: Other) -> bytes:
    live = Member("live", 1.0, "shop", "1", 0, 0, 0, 0)
    beside = [Member(one.role, one.share, "shop", "2", 0, 0, 0, 0, bundle=one.bundle) for one in others]
    return msgspec.json.encode(Status([live, *beside], []))


def test_all_workers_hear_of_changes_in_the_same_order(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[Path, bytes]] = []
    going_on = threading.Event()

    def answer(door: Path, method: str, _: str, body: bytes) -> bytes:
        if method == "PUT":
            heard.append((door, body))
            assert len(heard) > 1 or going_on.wait(60)
        return status()

    async def scenario() -> None:
        forwarder = Forwarder([ONE, TWO], OLD, FleetSettings())
        bodies = [msgspec.json.encode(FleetSettings((other,))) for other in (CANARY, SHARE)]
        changes = [asyncio.create_task(forwarder.forward("PUT", FLEET, {}, body)) for body in bodies]
        replies = await forwarder.forward("GET", FLEET, {}, b"")
        assert len(replies) == 2, "who only looks need not wait"
        going_on.set()
        await asyncio.gather(*changes)
        assert heard == [(door, body) for body in bodies for door in (ONE, TWO)]
        assert forwarder.fleet.others == (SHARE,)

    answering(monkeypatch, answer)
    asyncio.run(scenario())


def test_a_canary_that_left_one_worker_does_not_come_back_in_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[Path, str, bytes]] = []
    forwarder = Forwarder([ONE, TWO, THREE], OLD, FleetSettings((CANARY, SHARE)))

    def answer(door: Path, method: str, path: str, body: bytes) -> bytes:
        if method != "GET":
            told.append((door, path, body))
        elif door == THREE:
            raise ConnectionError("it is no more")
        return status(SHARE) if door == TWO else status(CANARY, SHARE)

    async def scenario() -> None:
        forwarder.told -= {ONE, TWO}
        await forwarder.repeat(ONE, OLD)
        await forwarder.repeat(TWO, OLD)
        assert told.pop()[2] == told.pop()[2] == msgspec.json.encode(FleetSettings((CANARY, SHARE)))
        forwarder.told.remove(THREE)
        await forwarder.repeat(THREE, OLD)
        assert told == [(THREE, FLEET, msgspec.json.encode(FleetSettings((SHARE,))))]
        assert forwarder.told == {ONE, TWO, THREE}

    answering(monkeypatch, answer)
    asyncio.run(scenario())


def test_a_canary_that_left_a_worker_which_died_of_it_leaves_all(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[Path, bytes]] = []

    def answer(door: Path, method: str, _: str, body: bytes) -> bytes:
        if method == "PUT":
            told.append((door, body))
        return status(CANARY, SHARE)

    async def scenario() -> None:
        forwarder = Forwarder([ONE, TWO], OLD, FleetSettings((CANARY, SHARE)))
        forwarder.told.remove(ONE)
        await forwarder.without(CANARY.bundle)
        await forwarder.repeat(ONE, OLD)
        stays = msgspec.json.encode(FleetSettings((SHARE,)))
        assert told == [(TWO, stays), (ONE, stays)]

    answering(monkeypatch, answer)
    asyncio.run(scenario())


def test_what_one_worker_refuses_those_before_it_take_back(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[Path, bytes]] = []

    def ask(door: Path, method: str, _: str, __: dict[str, str], body: bytes) -> Reply:
        if method == "GET":
            return Reply(200, status())  # the canary has left it
        heard.append((door, body))
        return Reply(409 if door == TWO else 200, status())

    async def scenario() -> None:
        forwarder = Forwarder([ONE, TWO, THREE], OLD, FleetSettings((CANARY, SHARE)))
        monkeypatch.setattr(forwarding, "_ask", ask)
        news, before = (
            msgspec.json.encode(FleetSettings(others)) for others in ((Other("n", "share", 0.1),), (SHARE,))
        )
        replies = await forwarder.forward("PUT", FLEET, {}, news)
        assert [reply.status for reply in replies] == [200, 409]
        assert heard == [(ONE, news), (TWO, news), (ONE, before)]
        assert forwarder.fleet.others == (SHARE,)

    asyncio.run(scenario())


@pytest.mark.parametrize("gone", [False, True])
def test_a_reload_that_one_worker_refuses_those_before_it_take_back(
    monkeypatch: pytest.MonkeyPatch, gone: bool
) -> None:
    heard: list[tuple[Path, str, bytes]] = []

    def ask(door: Path, _: str, path: str, __: dict[str, str], body: bytes) -> Reply:
        heard.append((door, path, body))
        if door == TWO and gone:
            raise ConnectionError("it is no more")
        if door == TWO:
            return Reply(409, b"{}")
        return Reply(200, msgspec.json.encode({"name": "shop", "version": "2", "bundle": str(NEW)}))

    async def scenario() -> None:
        forwarder = Forwarder([ONE, TWO, THREE], OLD, FleetSettings())
        monkeypatch.setattr(forwarding, "_ask", ask)
        with pytest.raises(OSError, match="no more") if gone else nullcontext():
            replies = await forwarder.forward("POST", RELOAD, {}, b"")
            assert [reply.status for reply in replies] == [200, 409]
        back = msgspec.json.encode({"bundle": str(OLD)})
        assert heard == [(ONE, RELOAD, b""), (TWO, RELOAD, b""), (ONE, BACK, back)]
        assert forwarder.bundle == OLD

    asyncio.run(scenario())


@pytest.mark.parametrize("gone", [False, True])
def test_who_does_not_take_back_is_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, gone: bool
) -> None:
    def ask(door: Path, _: str, path: str, __: dict[str, str], ___: bytes) -> Reply:
        if path == BACK and gone:
            raise ConnectionError("it is no more")
        if path == BACK or door == TWO:
            return Reply(409, b"a file is damaged")
        return Reply(200, msgspec.json.encode({"bundle": str(NEW)}))

    monkeypatch.setattr(forwarding, "_ask", ask)
    asyncio.run(Forwarder([ONE, TWO], OLD, FleetSettings()).forward("POST", RELOAD, {}, b""))
    (said,) = caplog.messages
    assert said.startswith("worker one may serve other bundles than the rest: ")
    assert said.endswith("ConnectionError('it is no more')" if gone else "409 a file is damaged")


def test_what_was_in_a_folder_that_is_loaded_again_is_no_more(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Path] = []

    def ask(door: Path, *_: object) -> Reply:
        heard.append(door)
        return Reply(409 if door == TWO else 200, msgspec.json.encode({"bundle": str(OLD)}))

    monkeypatch.setattr(forwarding, "_ask", ask)
    asyncio.run(Forwarder([ONE, TWO], OLD, FleetSettings()).forward("POST", RELOAD, {}, b""))
    assert heard == [ONE, TWO]
    assert caplog.messages == [f"worker one serves what is now in {OLD}, which another one refused"]


def test_a_worker_that_came_during_a_reload_reloads_too(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[Path, str]] = []

    def answer(door: Path, _: str, path: str, __: bytes) -> bytes:
        if path == RELOAD:
            told.append((door, path))
            return msgspec.json.encode({"name": "shop", "version": "2", "bundle": str(NEW)})
        return status()

    async def scenario() -> None:
        forwarder = Forwarder([ONE, TWO], OLD, FleetSettings())
        await forwarder.forward("POST", RELOAD, {}, b"")
        assert forwarder.bundle == NEW
        await forwarder.repeat(ONE, NEW)
        await forwarder.repeat(TWO, OLD)
        assert told == [(ONE, RELOAD), (TWO, RELOAD), (TWO, RELOAD)]

    answering(monkeypatch, answer)
    asyncio.run(scenario())
