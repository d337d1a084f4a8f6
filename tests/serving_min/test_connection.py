"""What a client may do with a connection, whoever answers behind it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving_min.connection import LONGEST_HEAD, Connection
from serving_min.server import configured
from serving_min.wire import PROBLEMS, RequestIds, read_body
from tests.serving_min.nobody import Loop, Nobody

NEXT = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
UPGRADES = [
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    b"Upgrade: websocket\r\nconnection: keep-alive, upgrade\r\nSec-WebSocket-Version: 13\r\n",
]


async def echo(request: Request) -> Response:
    return Response(await read_body(request.receive))


async def unread(_: Request) -> Response:
    return Response()


async def later(request: Request) -> Response:
    while not await request.is_disconnected():
        await asyncio.sleep(1)
    return Response()


@pytest.fixture
def client() -> Iterator[Nobody]:
    routes = [Route(f"/{ask.__name__}", ask, methods=["POST"]) for ask in (echo, unread, later)]
    app = Starlette(routes=routes, middleware=[Middleware(RequestIds)], exception_handlers=PROBLEMS)
    loop = Loop()
    client = Nobody(loop, app, Connection)
    yield client
    client.leave()
    loop.close()


def head(headers: bytes) -> bytes:
    return b"POST /echo HTTP/1.1\r\nHost: x\r\n%b\r\n" % headers


def problem(client: Nobody) -> dict[str, str]:
    """What was answered last, which is JSON and has an id."""
    head, _, body = client.transport.sent.rpartition(b"HTTP/1.1 ")[2].partition(b"\r\n\r\n")
    assert b"\r\ncontent-type: application/json\r\n" in head
    found = re.search(rb"\r\nx-request-id: (\S+)\r\n", head)
    assert found
    return {"id": found[1].decode()} | json.loads(body)


def test_all_ports_speak_so_unless_they_say_otherwise() -> None:
    config = configured(Starlette(), lifespan=False)
    config.load()
    assert config.http_protocol_class is Connection


@pytest.mark.parametrize("upgrade", UPGRADES)
@pytest.mark.parametrize("split", [False, True])
def test_who_asks_for_another_protocol_is_answered_in_this_one(client: Nobody, upgrade: bytes, split: bool) -> None:
    asked = head(upgrade + b"Content-Length: %d\r\n" % len(NEXT))
    assert client.say(*([asked, NEXT] if split else [asked + NEXT])) == [200]
    assert client.transport.sent.endswith(b"\r\n\r\n" + NEXT)
    assert client.say(head(b"Content-Length: 2\r\n") + b"{}") == [200], "the connection goes on"


def test_such_requests_may_follow_each_other_like_any_others(client: Nobody) -> None:
    chunked = head(UPGRADES[0] + b"Transfer-Encoding: chunked\r\n") + b"2\r\n{}\r\n0\r\n\r\n"
    empty = head(UPGRADES[1] + b"Content-Length: 0\r\n")
    both = chunked + empty
    assert client.say(both * 6) == [200] * 12
    assert client.say(*(both[at : at + 1] for at in range(len(both)))) == [200, 200]
    assert not client.transport.closed


def test_a_connection_ends_where_such_a_request_wants_it(client: Nobody) -> None:
    assert client.say(head(b"Content-Length: 1\r\nConnection: close, Upgrade\r\nUpgrade: h2c\r\n"), b"x") == [200]
    assert client.transport.sent.endswith(b"x")
    assert client.transport.closed


@pytest.mark.parametrize("target", [b"/echo", b"elsewhere:80"])
def test_nobody_is_connected_with_others(client: Nobody, target: bytes) -> None:
    assert client.say(b"CONNECT %b HTTP/1.1\r\nHost: x\r\n\r\n%b" % (target, NEXT)) == [400]
    assert client.transport.closed


def test_a_head_has_its_bounds_and_a_body_its_own(client: Nobody) -> None:
    room = LONGEST_HEAD - len(head(b"X: \r\nContent-Length: 2\r\n"))
    longest = head(b"X: %b\r\nContent-Length: 2\r\n" % (b"a" * room))
    for pieces in ([longest + b"{}"], [longest, b"{}"], [longest[:9], longest[9:] + b"{}"]):
        assert client.say(*pieces) == [200]
    assert client.say(head(b"Content-Length: 1000000\r\n") + b" " * 1_000_000) == [200]
    assert client.say(longest[:1_000], b"a" + longest[1_000:] + b"{}") == [431]
    assert client.transport.closed
    assert len(client.transport.sent) < 1_100_000


ENDLESS = {
    "value": head(b"X: ")[:-2] + b"a" * LONGEST_HEAD,
    "headers": head(b"X: a\r\n" * 12_000),
    "address": b"GET /" + b"a" * LONGEST_HEAD,
    "nothing": b"\r\n" * LONGEST_HEAD,
    "trailer": head(b"Transfer-Encoding: chunked\r\n") + b"1\r\na\r\n0\r\nX: " + b"a" * 2 * LONGEST_HEAD,
    "extension": head(b"Transfer-Encoding: chunked\r\n") + b"1;" + b"a" * 2 * LONGEST_HEAD,
}


@pytest.mark.parametrize("endless", ENDLESS)
@pytest.mark.parametrize("step", [1_000, 1 << 20])
def test_what_does_not_end_is_not_read_to_the_end(client: Nobody, endless: str, step: int) -> None:
    whole = ENDLESS[endless]
    assert client.say(*(whole[at : at + step] for at in range(0, len(whole), step))) == [431]
    assert client.transport.closed
    assert problem(client)["error"] == "the head of a request has at most 65536 bytes"


@pytest.mark.parametrize(
    "invalid", [b"nonsense", head(b"X-Request-Id: mine\r\nContent-Length: -1\r\n"), head(b" folded: line\r\n")]
)
def test_what_cannot_be_parsed_is_a_problem_like_any_other(client: Nobody, invalid: bytes) -> None:
    assert client.say(invalid) == [400]
    assert client.transport.closed
    said = problem(client)
    assert said["error"] == "Invalid HTTP request received."
    assert said["id"] == "mine" if b"mine" in invalid else len(said["id"]) == 32


def test_who_was_answered_is_told_nothing_more(client: Nobody) -> None:
    chunks = head(b"Transfer-Encoding: chunked\r\n").replace(b"/echo", b"/unread")
    assert client.say(chunks, b"2\r\n{}\r\n") == [200]
    assert client.say(b"nonsense") == []
    assert client.transport.closed


PARTS = [
    b"POST /ec",
    head(b"")[:-2],
    head(b"Content-Length: 3\r\n") + b"{",
    head(UPGRADES[0] + b"Content-Length: 3\r\n"),
]


@pytest.mark.parametrize("part", PARTS)
def test_a_request_that_does_not_come_whole_is_given_up(client: Nobody, part: bytes) -> None:
    client.loop.go_on(20)
    client.say(part[:4])
    client.loop.go_on(49)
    client.say(part[4:-1])
    client.loop.go_on(49.9)
    assert client.say(part[-1:]) == []
    assert not client.transport.closed
    client.loop.go_on(50)
    assert client.transport.sent.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert problem(client)["error"] == "the request was not here whole 30 seconds after it began"
    assert client.transport.closed


@pytest.mark.parametrize("first", [b"", b"\r\n", head(b"Content-Length: 2\r\n") + b"{}"])
def test_who_asks_nothing_for_two_minutes_is_not_heard_any_more(client: Nobody, first: bytes) -> None:
    client.say(first)
    for moment in (30, 60, 90, 119):
        client.loop.go_on(moment)
        assert not client.transport.closed
    client.loop.go_on(120)
    assert client.transport.closed
    assert b"408" not in client.transport.sent


def test_who_waits_for_an_answer_may_wait(client: Nobody) -> None:
    client.say(head(b"Content-Length: 2\r\n").replace(b"/echo", b"/later") + b"{}")
    for moment in range(0, 600, 30):
        client.loop.go_on(moment)
    assert not client.transport.closed
