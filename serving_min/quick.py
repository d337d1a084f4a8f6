"""The protocol of a connection: what is asked thousands of times a second goes past the framework.

uvicorn reads HTTP and keeps connections; a plain ``POST /v1/SURFACE`` is then answered here, as ``routes.recommend``
would, but without an application's calls, and in one piece. All else is uvicorn's and the application's: other routes,
large or chunked bodies, pages of other origins, requests sent before the last answer. While too many wait, a plain
request is refused before it is parsed, for what is refused takes time from what is not.
"""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import Any, ClassVar

import msgspec
from msgspec.structs import replace
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving_min.guard import EVENTS
from serving_min.heads import surface_asked
from serving_min.messages import Problem, Request
from serving_min.shop import Shop
from serving_min.wire import ACCEPTABLE_ID, REQUEST_ID, asking, internal_error, new_request_id, problem_of

PREFIX = b"/v1/"
MOST = 1 << 16  # bytes of a body: uvicorn stops reading beyond that until somebody asks for more
JSON = b"content-type: application/json\r\n"
REFUSAL = msgspec.json.encode(Problem("too many requests are waiting already; try again in a second"))
REFUSED = JSON + b"retry-after: 1\r\n"
STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
decode = msgspec.json.Decoder(Request).decode


class Turn:
    """A request and its response, as uvicorn looks at them."""

    message_event: ClassVar = asyncio.Event()  # uvicorn tells it of bodies and of lost connections; nobody waits here

    def __init__(self, surface: str, scope: Scope, *, keep_alive: bool) -> None:
        self.surface, self.scope, self.keep_alive = surface, scope, keep_alive
        self.began = time.monotonic()
        self.body = bytearray()
        self.response_complete = self.disconnected = False


class Quick(HttpToolsProtocol):
    """Connections to one ``shop``."""

    cycle: Any  # a Turn, or uvicorn's own
    scope: Any
    route = Route("/v1/{surface}", lambda _: None)  # as the access log calls it

    def __init__(self, shop: Shop, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.shop = shop
        self._between = True  # no part of a request has come of which the rest has not

    @property
    def _open(self) -> bool:
        """Whether an answer may follow: the client reads what it is sent, and has no other one to come."""
        return not self.flow.write_paused and (self.cycle is None or self.cycle.response_complete)

    def data_received(self, data: bytes) -> None:
        surface = None
        if self.shop.busy and self.shop.gate is None and self._between and self._open:
            surface = surface_asked(data)
        if surface is None or not self._is_answered_here(surface):
            super().data_received(data)
            return
        scope = {"method": "POST", "route": self.route, REQUEST_ID: new_request_id()}
        self._write(Turn(surface, scope, keep_alive=True), 503, REFUSED, REFUSAL)  # the timer to close it runs on

    def on_message_begin(self) -> None:
        self._between = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        surface = self._surface()
        if surface is None:
            super().on_headers_complete()
            return
        scope = self.scope
        scope |= {"method": "POST", "path": f"/v1/{surface}", "query_string": b"", "route": self.route}
        self.cycle = turn = Turn(surface, scope, keep_alive=self.parser.should_keep_alive())
        gate = self.shop.gate
        if gate is not None and (refusal := gate.refusal(scope)) is not None:
            self._say(turn, refusal)
        elif self.shop.busy:
            self._send(turn, 503, REFUSED, REFUSAL)

    def on_message_complete(self) -> None:
        self._between = True
        turn = self.cycle
        if not isinstance(turn, Turn):
            super().on_message_complete()
        elif not turn.response_complete:
            self.shop.coming += 1
            task = self.loop.create_task(self._answer(turn))
            self.tasks.add(task)  # those that uvicorn waits for when it is told to stop
            task.add_done_callback(self.tasks.discard)

    def _surface(self) -> str | None:
        """The one that is asked, if this is a request to be answered here."""
        if (
            not self.url.startswith(PREFIX)
            or self.parser.get_method() != b"POST"
            or self.parser.get_http_version() != "1.1"
            or self.parser.should_upgrade()
            or not self._open
        ):
            return None
        surface = self.url.decode("latin-1")[len(PREFIX) :]
        if not self._is_answered_here(surface):
            return None
        length, given = b"", ""
        for name, value in self.headers:
            if name == b"content-length":
                length = value
            elif name == b"x-request-id":
                given = value.decode("latin-1")
            elif name in (b"expect", b"transfer-encoding", b"origin"):
                return None
        if not length.isdigit() or int(length) > MOST:
            return None
        self.scope[REQUEST_ID] = given if ACCEPTABLE_ID.fullmatch(given) else new_request_id()
        return surface

    def _is_answered_here(self, surface: str) -> bool:
        return surface in self.shop.engine.bundle.surfaces and f"/v1/{surface}" != EVENTS

    async def _answer(self, turn: Turn) -> None:
        self.shop.coming -= 1
        asking.set(turn.scope)
        try:
            request = decode(turn.body)
            if request.request_id is None:
                request = replace(request, request_id=turn.scope[REQUEST_ID])
            else:
                turn.scope[REQUEST_ID] = request.request_id
            given = await self.shop.answer(turn.surface, request)
            body = given.body(request.request_id or "")
        except Exception as error:
            refusal = problem_of(error)
            if refusal is None:
                self.logger.error("Exception in the quick lane\n", exc_info=error)
                refusal = internal_error()
            self._say(turn, refusal)
        else:
            self._send(turn, 200, JSON, body)

    def _say(self, turn: Turn, response: Response) -> None:
        headers = b"".join(b"%b: %b\r\n" % header for header in response.raw_headers if header[0] != b"content-length")
        self._send(turn, response.status_code, headers, bytes(response.body))

    def _send(self, turn: Turn, status: int, headers: bytes, body: bytes) -> None:
        turn.response_complete = True
        self._write(turn, status, headers, body)
        self.on_response_complete()

    def _write(self, turn: Turn, status: int, headers: bytes, body: bytes) -> None:
        said: list[bytes] = [STATUS_LINES[status]]
        for name, value in self.server_state.default_headers:
            said += (name, b": ", value, b"\r\n")
        if not turn.keep_alive:
            said.append(b"connection: close\r\n")
        said += (
            headers,
            b"x-request-id: ",
            turn.scope[REQUEST_ID].encode(),
            b"\r\ncontent-length: %d\r\n\r\n" % len(body),
            body,
        )
        for tell in self.shop.observation.ended:
            tell(turn.scope, status, turn.began)
        if not self.transport.is_closing():
            self.transport.write(b"".join(said))
            if not turn.keep_alive:
                self.transport.close()
