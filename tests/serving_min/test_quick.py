"""The short way to a surface: the same answers as the routes behind it, and refusals that cost little."""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from serving_min.app import create_app
from serving_min.connection import Connection
from serving_min.engine import Engine
from serving_min.errors import RequestError
from serving_min.fleet.fleet import Fleet
from serving_min.keys import hashed
from serving_min.listening import listen
from serving_min.logs import LoggingSettings, access
from serving_min.quick import Quick, Turn
from serving_min.server import Beside, configured
from serving_min.settings import Settings
from serving_min.shop import Shop
from serving_min.wire import asking
from tests.serving_min.handmade import NOW
from tests.serving_min.nobody import Loop, Nobody
from tests.serving_min.test_logs import Lines

BODY = b'{"history": ["A"], "request_id": "mine"}'
LONG = b'{"history": ["A", "B", "C", "A", "B", "A"], "request_id": "mine"}'  # nobody else's: no task is needed


@contextmanager
def running(shop: Shop) -> Iterator[int]:
    """The shop behind a real socket, in a thread; its port."""
    with listen("127.0.0.1", 0) as listener:
        server = Beside(configured(create_app(shop), lifespan=True, protocol=partial(Quick, shop)))
        thread = threading.Thread(target=asyncio.run, args=(server.serve([listener]),))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(20)


@pytest.fixture(scope="module")
def shop(engine: Callable[[str], Engine]) -> Shop:
    return Shop(engine("neighbours"))


@pytest.fixture(scope="module")
def port(shop: Shop) -> Iterator[int]:
    with running(shop) as port:
        yield port


Answer = tuple[int, dict[str, str], Any]


def ask(port: int, path: str = "/v1/recommend", body: bytes = BODY, **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    said = response.read()
    connection.close()
    return response.status, {name.lower(): value for name, value in response.getheaders()}, json.loads(said)


def raw(port: int, *pieces: bytes, answers: int = 1) -> list[tuple[bytes, bytes]]:
    """What the server answers to bytes that come one after the other: heads and bodies."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        for piece in pieces:
            connection.sendall(piece)
        return [answered(connection) for _ in range(answers)]


def answered(connection: socket.socket) -> tuple[bytes, bytes]:
    """Head and body of the next answer, read without taking from what follows."""
    file = connection.makefile("rb", buffering=0)
    head = b"".join(iter(file.readline, b"\r\n"))
    length, body = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]), b""
    while len(body) < length and (piece := file.read(length - len(body))):
        body += piece
    return head, body


def request(body: bytes = BODY, *headers: bytes) -> bytes:
    head = [b"POST /v1/recommend HTTP/1.1", b"Host: x", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def test_the_answer_is_the_route_s_to_the_byte(shop: Shop, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shop.visitors, "clock", lambda: NOW)
    client = TestClient(create_app(Shop(shop.engine)))
    bodies = (
        BODY,
        LONG,
        b"{}",
        b'{"history": ["A", {"item": "B", "event": "view"}, "?"], "k": 3, "exclude_seen": false}',
    )
    for body in bodies:
        with client:
            expected = client.post("/v1/recommend", content=body, headers={"x-request-id": "mine"})
        ((head, said),) = raw(port, request(body, b"X-Request-Id: mine"))
        assert said == expected.content
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert (
            dict(expected.headers).items()
            <= {
                name.lower(): value
                for name, _, value in (line.partition(": ") for line in head.decode().splitlines()[1:])
            }.items()
        )


def test_an_answer_has_the_id_that_its_header_has(port: int) -> None:
    _, headers, answer = ask(port)
    assert answer["request_id"] == headers["x-request-id"] == "mine"
    _, headers, answer = ask(port, body=b"{}", x_request_id="theirs")
    assert answer["request_id"] == headers["x-request-id"] == "theirs"
    _, headers, answer = ask(port, body=b"{}", x_request_id="no good id")
    assert answer["request_id"] == headers["x-request-id"] != "no good id"
    assert len(answer["request_id"]) == 32


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/recommend", b"{", 422),
        ("/v1/recommend", b"\xff", 422),
        ("/v1/recommend", b'{"k": 0}', 422),
        ("/v1/recommend", b'{"filters": {"age": 3}}', 422),
        ("/v1/similar", b"{}", 422),
        ("/v1/recommend", b" " * (1 << 20) + b"{}", 413),
        ("/v1/window", b"{}", 404),
    ],
)
def test_problems_are_told_as_everywhere(shop: Shop, port: int, path: str, body: bytes, status: int) -> None:
    found, headers, said = ask(port, path, body)
    assert (found, [*said], headers["content-type"]) == (status, ["error"], "application/json")
    assert "x-request-id" in headers
    with TestClient(create_app(Shop(shop.engine))) as client:
        assert client.post(path, content=body).json() == said


def test_a_large_body_takes_the_long_way(port: int) -> None:
    status, _, answer = ask(port, body=b" " * 200_000 + BODY)
    assert (status, answer["request_id"]) == (200, "mine")


@pytest.mark.parametrize("items", ["BX", "ABABABAX"])
def test_what_a_user_did_counts_on_both_ways(port: int, items: str) -> None:
    """With few events and with many: the latter are nobody else's, so no task is needed."""
    events = [
        {"id": f"{items}-{n}", "user": f"who saw {items}", "item": item, "event": "view"}
        for n, item in enumerate(items)
    ]
    receipt = ask(port, "/v1/events", json.dumps({"events": events}).encode())[2]
    assert (receipt["accepted"], receipt["unknown_items"]) == (len(items), 1)
    asked = {"user_id": f"who saw {items}", "history": ["?"], "k": 5, "request_id": "mine", "now": 4_000_000_000}
    body = json.dumps(asked).encode()
    status, _, answer = ask(port, body=body)
    assert (status, answer["fallback"], answer["unknown_items"]) == (200, None, ["?"]), "X is not the caller's"
    assert answer == ask(port, body=b" " * 200_000 + body)[2]
    told = json.dumps({**asked, "history": ["?", "X"]}).encode()
    assert ask(port, body=told)[2]["unknown_items"] == ["?", "X"], "now it is the caller's, too"
    assert not {*items} & {item["id"] for item in answer["items"] if item["reason"] == "model"}


def test_a_request_may_come_in_pieces(port: int) -> None:
    whole = request()
    pieces = [whole[start : start + 7] for start in range(0, len(whole), 7)]
    ((_, said),) = raw(port, *pieces)
    assert said == raw(port, whole)[0][1]


def test_requests_that_do_not_wait_for_answers_are_answered_in_order(port: int) -> None:
    bodies = [b'{"history": ["A"], "request_id": "r%d"}' % number for number in range(5)]
    answers = raw(port, b"".join(map(request, bodies)), answers=5)
    assert [json.loads(said)["request_id"] for _, said in answers] == [f"r{number}" for number in range(5)]


def test_a_connection_is_closed_when_it_should(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(request(BODY, b"Connection: close"))
        said = b"".join(iter(lambda: connection.recv(1 << 16), b""))  # ends because the server closes
    assert b"connection: close\r\n" in said
    assert said.endswith(b"}")


def test_what_is_not_plain_is_uvicorn_s(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(request(BODY, b"Expect: 100-continue").removesuffix(BODY))
        assert connection.recv(1 << 16) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200")
    chunked = b"POST /v1/recommend HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
    ((_, said),) = raw(port, chunked % (len(BODY), BODY))
    assert json.loads(said)["request_id"] == "mine"
    ((head, said),) = raw(port, request().replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert json.loads(said)["request_id"] == "mine"
    assert b"connection: close" in head


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Fleet, "busy", lambda *_: True)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """The file of three keys whose secrets are their names."""
    roles = {"reader": '["read"]', "tracker": '["events"]', "slow": '["read"]\nrate = 0.001'}
    rings = (f'[[keys]]\nname = "{name}"\nsha256 = "{hashed(name)}"\nroles = {role}' for name, role in roles.items())
    path = tmp_path / "keys.toml"
    path.write_text("\n".join(rings))
    return path


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What the access log writes."""
    lines = Lines()
    access.addHandler(lines)
    access.setLevel(logging.INFO)
    yield lines
    access.removeHandler(lines)
    access.setLevel(logging.NOTSET)


@pytest.mark.usefixtures("busy")
def test_while_too_many_wait_a_request_is_refused(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for body in (BODY, b"{", b" " * 60_000):
        status, headers, said = ask(port, body=body)
        assert (status, headers["retry-after"]) == (503, "1")
        assert "try again in a second" in said["error"]
    monkeypatch.undo()
    assert ask(port)[0] == 200


@pytest.mark.usefixtures("busy")
def test_a_connection_goes_on_after_refusals(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = request()
    pieces = [whole, whole[:-9], whole[-9:-5], whole[-5:], whole]
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece, answers in zip(pieces, [1, 0, 0, 1, 1], strict=True):
            connection.sendall(piece)
            assert [answered(connection)[0][9:12] for _ in range(answers)] == [b"503"] * answers
            time.sleep(0.02)
        monkeypatch.undo()
        connection.sendall(whole)
        assert answered(connection)[0][9:12] == b"200"


@pytest.fixture
def client(shop: Shop) -> Iterator[Nobody]:
    loop = Loop()
    client = Nobody(loop, create_app(shop), partial(Quick, shop))
    yield client
    client.leave()
    loop.close()


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize(
    ("pieces", "parsed"),
    [
        ([request()], []),
        ([request()[:-9], request()[-9:-5], request()[-5:]], []),
        ([request().removesuffix(BODY), BODY], []),
        ([request(BODY, b"X-Request-Id: mine", b"Authorization: Bearer open")], []),
        ([request()[:20], request()[20:]], [request()[:20]]),
        ([request() + request()], [request() + request()]),
        ([request()[:-9], request()[-9:] + request()], [request() + request()]),
        ([request(b" " * 65_537)], [request(b" " * 65_537)]),
        ([request(b" " * 65_536)], []),
        ([request(BODY, b"Origin: https://shop.example")], [request(BODY, b"Origin: https://shop.example")]),
    ],
)
def test_a_plain_request_needs_no_parser(
    client: Nobody, monkeypatch: pytest.MonkeyPatch, pieces: list[bytes], parsed: list[bytes]
) -> None:
    given: list[bytes] = []
    monkeypatch.setattr(Connection, "data_received", lambda _, data: given.append(data))
    answers: list[int] = []
    for piece in pieces:
        if not given:
            answers += client.say(piece)
    assert given == parsed
    assert answers == ([] if parsed else [503])


@pytest.mark.usefixtures("busy")
def test_a_connection_is_closed_two_minutes_after_it_was_heard_of_last(client: Nobody) -> None:
    for moment in (1, 60, 110):
        client.loop.go_on(moment)
        assert client.say(request()) == [503]
    for moment in (229, 230):
        assert not client.transport.closed
        client.loop.go_on(moment)
    assert client.transport.closed


@pytest.mark.usefixtures("busy")
def test_a_request_that_does_not_come_whole_is_given_up(client: Nobody) -> None:
    whole = request()
    for moment, piece in ((100, whole[:-9]), (110, whole[-9:-5]), (129, whole[-5:])):
        client.loop.go_on(moment)
        statuses = client.say(piece)
    assert statuses == [503]
    client.loop.go_on(140)
    client.say(whole[:-9])
    client.loop.go_on(169)
    client.say(whole[-9:-5])
    assert not client.transport.closed
    client.loop.go_on(170)
    assert b"HTTP/1.1 408 Request Timeout" in client.transport.sent
    assert client.transport.closed


def test_a_connection_is_not_closed_while_its_answer_is_made(client: Nobody) -> None:
    client.protocol.cycle = Turn("recommend", {}, b"")
    for moment in range(0, 600, 30):
        client.loop.go_on(moment)
    assert not client.transport.closed
    client.protocol.cycle.response_complete = True
    client.loop.go_on(600)
    assert client.transport.closed


@pytest.mark.usefixtures("busy")
def test_other_routes_are_not_refused_unread(port: int) -> None:
    event = b'{"events": [{"id": "1", "user": "u", "item": "A", "event": "view"}]}'
    ((head, said),) = raw(port, request(event).replace(b"/v1/recommend", b"/v1/events"))
    assert head.startswith(b"HTTP/1.1 200 ")
    assert json.loads(said)["accepted"] == 1
    ((head, _),) = raw(port, request().replace(b"/v1/recommend", b"/v1/window"))
    assert head.startswith(b"HTTP/1.1 404 ")


@pytest.mark.usefixtures("busy")
def test_who_may_not_ask_learns_that_first(engine: Callable[[str], Engine], keys: Path) -> None:
    with running(Shop(engine("neighbours"), Settings.read(doors={"keys": str(keys)}))) as port:
        ((head, _),) = raw(port, request())
        assert head.startswith(b"HTTP/1.1 401 ")
        ((head, _),) = raw(port, request(BODY, b"Authorization: Bearer reader"))
        assert head.startswith(b"HTTP/1.1 503 ")


def test_what_comes_at_once_counts_before_it_is_in_the_queue(engine: Callable[[str], Engine]) -> None:
    shop = Shop(engine("neighbours"), Settings(waiting=4))
    asked: list[int] = []
    begun, all_sent = threading.Event(), threading.Event()

    async def answer(*_: object) -> None:
        asked.append(shop.coming)
        if len(asked) == 1:
            begun.set()
            all_sent.wait(10)  # the loop looks at the network only when all have come
        raise RequestError("never mind")

    with running(shop) as port:
        connections = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(7)]
        for connection in connections:  # the server knows all of them
            connection.sendall(request())
            assert answered(connection)[0].startswith(b"HTTP/1.1 200 ")
        shop.answer = answer  # type: ignore[method-assign, assignment]
        connections[0].sendall(request())
        assert begun.wait(10)
        for connection in connections[1:]:
            connection.sendall(request())
        all_sent.set()
        statuses = [answered(connection)[0][9:12] for connection in connections]
        for connection in connections:
            connection.close()
    assert sorted(statuses) == [b"422"] * 5 + [b"503"] * 2
    assert asked == [0, 3, 2, 1, 0], "two are refused before anybody looks at them"
    assert shop.coming == 0


@pytest.mark.parametrize(("seconds", "same"), [(60, [200] * 9), (0, [200] * 4 + [503] * 5)])
def test_what_is_kept_or_being_made_does_not_queue(
    engine: Callable[[str], Engine], seconds: int, same: list[int]
) -> None:
    shop, loop = Shop(engine("neighbours"), Settings.read(waiting=4, cache={"seconds": seconds})), Loop()
    loop.run_until_complete(shop.start())
    clients = [Nobody(loop, create_app(shop), partial(Quick, shop)) for _ in same]

    def at_once(*bodies: bytes) -> list[int]:
        for client, body in zip(clients, bodies, strict=True):
            client.transport.sent = b""
            client.protocol.data_received(request(body))
        loop.go_on()
        return sorted(int(client.transport.sent[9:12]) for client in clients)

    assert at_once(*[BODY] * 9) == same
    others = [b'{"history": ["A"], "k": %d}' % k for k in range(1, 10)]
    assert at_once(*others) == [200] * 4 + [503] * 5
    assert at_once(*others[:4], *others[:5]) == ([200] * 8 + [503] if seconds else [200] * 4 + [503] * 5)
    assert shop.coming == 0
    for client in clients:
        client.leave()
    loop.run_until_complete(shop.stop())
    loop.close()


def test_refusals_and_answers_are_counted(shop: Shop, port: int) -> None:
    before = dict(shop.observation.meters.refusals.values)
    ask(port, body=b"{")
    assert shop.observation.meters.refusals.values[("422",)] == before.get(("422",), 0) + 1


@pytest.mark.parametrize(
    ("said", "status"),
    [(b"nonsense\r\n\r\n", 400), (b"POST /v1/recommend HTTP/1.1\r\n" + b"x: %b\r\n" % (b"y" * (1 << 16)), 431)],
)
def test_what_is_no_request_is_counted(shop: Shop, port: int, said: bytes, status: int) -> None:
    before = shop.observation.meters.refusals.values[(str(status),)]
    ((head, _),) = raw(port, said)
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert shop.observation.meters.refusals.values[(str(status),)] == before + 1


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_who_is_refused_unread_is_counted_and_in_the_access_log(
    engine: Callable[[str], Engine], share: float, caplog: pytest.LogCaptureFixture
) -> None:
    shop = Shop(engine("neighbours"), Settings(logging=LoggingSettings(access=share)))
    with running(shop) as port, caplog.at_level(logging.INFO, access.name):
        ((head, _),) = raw(port, request(BODY, b"X-Request-Id: their-own"))
    assert b"\r\nx-request-id: their-own\r\n" in head
    assert {what: count for what, count in shop.observation.meters.refusals.values.items() if count} == {("503",): 1}
    lines = [record.getMessage().split()[:3] for record in caplog.records if record.name == access.name]
    assert lines == [["POST", "/v1/{surface}", "503"]] * round(share)


@pytest.mark.usefixtures("busy")
def test_the_access_log_names_request_and_key_of_what_is_refused(
    engine: Callable[[str], Engine], keys: Path, lines: Lines
) -> None:
    settings = Settings.read(doors={"keys": str(keys)}, logging={"access": 1.0})
    shop = Shop(engine("neighbours"), settings)
    loop = Loop()
    client = Nobody(loop, create_app(shop), partial(Quick, shop))
    for number, key in enumerate((b"stranger", b"tracker", b"slow", b"slow")):
        client.say(request(BODY, b"X-Request-Id: %d" % number, b"Authorization: Bearer " + key))
    client.leave()
    loop.close()
    said = [(line["request_id"], line["status"], line.get("key")) for line in lines.lines]
    assert said == [("0", 401, None), ("1", 403, "tracker"), ("2", 503, "slow"), ("3", 429, "slow")]
    assert asking.get() is None, "what is logged later is about something else"


@pytest.mark.parametrize("body", [BODY, LONG])
@pytest.mark.parametrize("where", ["before the queue", "in the batch", "after it"])
def test_a_bug_is_a_500_with_a_traceback_and_the_connection_lives(
    port: int,
    shop: Shop,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    body: bytes,
    where: str,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    owner, name = {
        "before the queue": (shop.fingerprints, "comparable"),
        "in the batch": (shop.engine, "answer"),
        "after it": (shop.observation, "given"),
    }[where]
    monkeypatch.setattr(owner, name, broken)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/v1/recommend", body)
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())) == (
        500,
        {"error": "internal error; the server's log has the traceback"},
    )
    assert "ZeroDivisionError: a bug" in caplog.text
    monkeypatch.undo()
    assert shop.fleet.live.waits == 0
    connection.request("POST", "/v1/recommend", BODY)
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.parametrize("body", [BODY, LONG])
def test_who_leaves_before_the_answer_harms_nobody(port: int, body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(11):  # twelve may wait, however slow the machine is
        with socket.create_connection(("127.0.0.1", port), 10) as connection:
            connection.sendall(request(body))
    assert ask(port)[0] == 200
    assert not caplog.records


def test_keys_and_origins_are_looked_at_here_too(engine: Callable[[str], Engine], keys: Path) -> None:
    settings = Settings.read(doors={"keys": str(keys), "origins": ["https://shop.example"]})
    with running(Shop(engine("neighbours"), settings)) as port:
        found = {name: ask(port, authorization=f"Bearer {name}") for name in ("reader", "tracker", "stranger")}
        assert {name: answer[0] for name, answer in found.items()} == {"reader": 200, "tracker": 403, "stranger": 401}
        assert found["stranger"][1]["www-authenticate"] == "Bearer"
        assert ask(port)[0] == 401
        rated = [ask(port, authorization="Bearer slow") for _ in range(2)]
        assert [answer[0] for answer in rated] == [200, 429]
        assert int(rated[1][1]["retry-after"]) > 1
        assert ask(port, "/v1/model", authorization="Bearer slow")[0] == 429, "one bucket for both ways"
        allowed = ask(port, authorization="Bearer reader", origin="https://shop.example")
        assert allowed[1]["access-control-allow-origin"] == "https://shop.example"
