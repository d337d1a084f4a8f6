"""The protocol of a connection: uvicorn's, kept to HTTP/1.1 and within bounds.

A head has so many bytes, and a request is here whole so many seconds after its first byte, or it is refused and the
connection ends. So it does when nothing was asked for a while.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving_min.messages import Problem
from serving_min.wire import REQUEST_ID, acceptable_id

LONGEST_HEAD = 1 << 16  # bytes
WHOLE = 30  # seconds within which a request has come
JSON = b"content-type: application/json\r\n"
STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
INVALID = "Invalid HTTP request received."


class Connection(HttpToolsProtocol):
    """Who asks for another protocol is answered in this one, as RFC 9110 (7.8) allows: body and all that follows are
    read as of any request. The parser alone would take such a head for the end of HTTP."""

    cycle: Any  # uvicorn's request and response, or what stands for them

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._parsing = False  # the parser has part of a request, and the rest is to come
        self._began = 0.0  # when that came, by the loop's clock
        self._rested = self.loop.time()  # when the last answer was given
        self._unread = 0  # bytes since the last that were a whole head, or part of a body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._look_in(WHOLE)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        while data and not self.transport.is_closing():
            piece = data[: LONGEST_HEAD - self._unread]
            data = data[len(piece) :]
            self._unread += len(piece)
            self._feed(piece)
            if self._unread >= LONGEST_HEAD:
                self._refuse(431, f"the head of a request has at most {LONGEST_HEAD} bytes")

    def _feed(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if self.parser.get_method() == b"CONNECT":  # this is no proxy
                    self.send_400_response(INVALID)
                    return
                data = self._begin_again() + data[upgrade.args[0] :]
            except httptools.HttpParserError:
                self.logger.warning(INVALID)
                self.send_400_response(INVALID)
                return
            else:
                return

    def _begin_again(self) -> bytes:
        """The head just read, without its ``Upgrade``, for a parser that has read nothing."""
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
        return b"\r\n".join([*lines, b"", b""])

    def on_message_begin(self) -> None:
        if not self._parsing:  # a head that is read again began before
            self._parsing, self._began = True, self.loop.time()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if not self.parser.should_upgrade():
            self._unread = 0
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            self._unread, self._parsing = 0, False
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """As uvicorn's, but for the timer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:  # asked before this answer
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._rested = self.loop.time()

    @property
    def _coming(self) -> bool:
        """Whether part of a request is here, and the client has to send the rest."""
        return self._parsing

    @property
    def _waiting(self) -> bool:
        """Whether the client waits for an answer, or is made to wait, or does not read."""
        if self.flow.write_paused or self.flow.read_paused:
            return True
        return self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body

    def timeout_keep_alive_handler(self) -> None:
        """The one timer goes on as long as the connection: to set it anew for each request took as long as to write
        the answer."""
        if self.transport.is_closing():
            return
        since, limit = (self._began, WHOLE) if self._coming else (self._rested, self.timeout_keep_alive)
        left = WHOLE if self._waiting else since + limit - self.loop.time()
        if left > 0:
            self._look_in(min(left, WHOLE))
        elif self._coming:
            self._refuse(408, f"the request was not here whole {WHOLE} seconds after it began")
        else:
            self.transport.close()

    def _look_in(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, msg)

    def _refuse(self, status: int, why: str) -> None:
        """Say so, where nothing was said yet, and hear no more."""
        if self.cycle is not None and self.cycle.scope is self.scope and self.cycle.response_started:
            self.transport.close()
            return
        self._refused(status)
        given = dict(self.headers).get(REQUEST_ID.lower().encode(), b"").decode("latin-1") if self._parsing else ""
        self._write(status, JSON, msgspec.json.encode(Problem(why)), acceptable_id(given), keep_alive=False)

    def _refused(self, status: int) -> None:
        """For those who count."""

    def _write(self, status: int, headers: bytes, body: bytes, request_id: str, *, keep_alive: bool) -> None:
        if self.transport.is_closing():
            return
        said: list[bytes] = [STATUS_LINES[status]]
        for name, value in self.server_state.default_headers:
            said += (name, b": ", value, b"\r\n")
        if not keep_alive:
            said.append(b"connection: close\r\n")
        said += (headers, b"x-request-id: %b\r\ncontent-length: %d\r\n\r\n" % (request_id.encode(), len(body)), body)
        self.transport.write(b"".join(said))
        if not keep_alive:
            self.transport.close()
        elif self.pipeline:
            self.on_response_complete()
        else:
            self._rested = self.loop.time()
