"""The same bytes mean the same, whether the short way is taken, or our parser's, or uvicorn's own."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from serving_min.app import create_app
from serving_min.connection import Connection
from serving_min.engine import Engine
from serving_min.quick import Quick
from serving_min.server import configured
from serving_min.shop import Shop
from tests.serving_min.nobody import Transport

BODY = b'{"history": ["A"]}'
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
UPGRADE = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"


def asked(headers: bytes = LENGTH, body: bytes = BODY, line: bytes = b"POST /v1/recommend HTTP/1.1") -> bytes:
    return b"%b\r\nHost: x\r\n%b\r\n%b" % (line, headers, body)


SHAPES: dict[str, tuple[list[bytes], list[int]]] = {
    "plain": ([asked()], [200]),
    "names of headers in capitals": ([asked(LENGTH.upper())], [200]),
    "connection kept": ([asked(LENGTH + b"Connection: Keep-Alive\r\n"), asked()], [200, 200]),
    "connection closed": ([asked(LENGTH + b"Connection: close\r\n"), asked()], [200]),
    "connection closed for a proxy": ([asked(LENGTH + b"Proxy-Connection: close\r\n"), asked()], [200]),
    "one after the other": ([asked(), asked(), asked()], [200, 200, 200]),
    "pipelined": ([asked() + asked(CHUNKED, CHUNKS) + asked()], [200, 200, 200]),
    "pipelined in pieces": ([asked() + asked()[:30], asked()[30:] + asked()[:-5], asked()[-5:]], [200, 200, 200]),
    "byte by byte": ([asked()[at : at + 1] for at in range(len(asked()))], [200]),
    "body apart": ([asked(body=b""), BODY], [200]),
    "body in pieces": ([asked(body=b""), BODY[:5], BODY[5:]], [200]),
    "empty lines before": ([b"\r\n\r\n" + asked()], [200]),
    "more than is said": ([asked(body=BODY + b"nonsense")], [400]),
    "less than is said": ([asked(b"Content-Length: 2\r\n", b"{}" + asked())], [200, 200]),
    "method in small letters": ([asked(line=b"post /v1/recommend HTTP/1.1")], [400]),
    "path in capitals": ([asked(line=b"POST /V1/recommend HTTP/1.1")], [404]),
    "version in small letters": ([asked(line=b"POST /v1/recommend http/1.1")], [400]),
    "HTTP/1.0": ([asked(line=b"POST /v1/recommend HTTP/1.0"), asked()], [200]),
    "whole address": ([asked(line=b"POST http://x/v1/recommend HTTP/1.1")], [200]),
    "escaped": ([asked(line=b"POST /v1/%72ecommend HTTP/1.1")], [200]),
    "with a query": ([asked(line=b"POST /v1/recommend?k=1 HTTP/1.1")], [200]),
    "slash too many": ([asked(line=b"POST /v1/recommend/ HTTP/1.1")], [404]),
    "no such surface": ([asked(line=b"POST /v1/nowhere HTTP/1.1")], [404]),
    "no JSON": ([asked(b"Content-Length: 1\r\n", b"{")], [422]),
    "chunked": ([asked(CHUNKED, CHUNKS)], [200]),
    "chunked and a length": ([asked(CHUNKED + LENGTH, CHUNKS)], [400]),
    "a length and chunked": ([asked(LENGTH + CHUNKED, CHUNKS)], [400]),
    "chunked with a space": ([asked(b"Transfer-Encoding : chunked\r\n" + LENGTH)], [400]),
    "chunked in a strange way": ([asked(b"Transfer-Encoding: xchunked\r\n")], [400]),
    "two lengths": ([asked(b"Content-Length: 2\r\n" + LENGTH)], [400]),
    "the same length twice": ([asked(LENGTH + LENGTH)], [400]),
    "length with a sign": ([asked(LENGTH.replace(b": ", b": +"))], [400]),
    "length with zeros": ([asked(LENGTH.replace(b": ", b": 00"))], [200]),
    "length with spaces": ([asked(LENGTH.replace(b"\r", b" \r"))], [200]),
    "no length": ([asked(b"")], [400]),
    "folded header": ([asked(LENGTH + b"X: a\r\n b\r\n")], [400]),
    "lines without a return": ([asked().replace(b"\r\n", b"\n")], [400]),
    "a return within a line": ([asked(LENGTH + b"X: a\rb\r\n")], [400]),
    "header without a name": ([asked(LENGTH + b": a\r\n")], [400]),
    "first asks whether to go on": ([asked(LENGTH + b"Expect: 100-continue\r\n", b""), BODY], [100, 200]),
    "from a page": ([asked(LENGTH + b"Origin: https://elsewhere.example\r\n")], [403]),
    "upgraded": ([asked(LENGTH + UPGRADE), asked()], [200, 200]),
    "upgraded, body apart": ([asked(LENGTH + UPGRADE, b""), BODY + asked()], [200, 200]),
}


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def shop(engine: Callable[[str], Engine], runner: asyncio.Runner) -> Iterator[Shop]:
    shop = Shop(engine("neighbours"))
    runner.run(shop.start())
    yield shop
    runner.run(shop.stop())


async def answered(shop: Shop, kind: Callable[..., Any], pieces: list[bytes]) -> list[int]:
    """The statuses, of a connection to nobody."""
    config, state, transport = configured(create_app(shop), lifespan=False), ServerState(), Transport()
    protocol = kind(config=config, server_state=state, app_state={}, _loop=asyncio.get_running_loop())
    protocol.connection_made(transport)
    for piece in pieces:
        if not transport.closed:
            protocol.data_received(piece)
            await asyncio.sleep(0)
    while state.tasks and not transport.closed:
        await asyncio.wait(state.tasks)
    protocol.connection_lost(None)
    await asyncio.gather(*state.tasks)
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", transport.sent)]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_bytes_mean_the_same(shop: Shop, runner: asyncio.Runner, shape: str) -> None:
    pieces, statuses = SHAPES[shape]
    kinds = {"quick": partial(Quick, shop), "parser": Connection, "uvicorn": HttpToolsProtocol}
    if "upgraded" in shape:
        del kinds["uvicorn"]  # which leaves HTTP then
    found = {name: runner.run(answered(shop, kind, pieces)) for name, kind in kinds.items()}
    assert found == dict.fromkeys(kinds, statuses)
