"""The protocol of a connection: what is asked thousands of times a second goes past the framework.

A plain ``POST /v1/SURFACE`` is read and answered here, as ``routes.recommend`` would, but without a parser's and an
application's calls, and in one piece; while too many wait it is refused, for what is refused takes time from what is
not. All else is uvicorn's and the application's: other routes, large or chunked bodies, pages of other origins,
requests sent before the last answer.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any, ClassVar

import msgspec
from msgspec.structs import replace
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Scope

from serving_min.connection import JSON, Connection
from serving_min.given import Given
from serving_min.heads import Head, head_of
from serving_min.messages import Problem, Request
from serving_min.shop import Shop
from serving_min.wire import REQUEST_ID, acceptable_id, asking, internal_error, problem_of

MOST = 1 << 16  # bytes of a body: uvicorn stops reading beyond that until somebody asks for more
REFUSAL = msgspec.json.encode(Problem("too many requests are waiting already; try again in a second"))
REFUSED = JSON + b"retry-after: 1\r\n"
decode = msgspec.json.Decoder(Request).decode


class Turn:
    """A request and its response, as uvicorn looks at them."""

    __slots__ = ("began", "body", "disconnected", "keep_alive", "response_complete", "scope", "surface", "task")
    task: asyncio.Task[None]  # that makes the answer, if one is made
    message_event: ClassVar = asyncio.Event()  # uvicorn tells it of bodies and of lost connections; nobody waits here
    more_body: ClassVar = False

    def __init__(self, surface: str, scope: Scope, body: bytes, *, keep_alive: bool = True) -> None:
        self.surface, self.scope, self.body, self.keep_alive = surface, scope, body, keep_alive
        self.began = time.monotonic()
        self.response_complete = self.disconnected = False


class Quick(Connection):
    """Connections to one ``shop``."""

    route = Route("/v1/{surface}", lambda _: None)  # as the access log calls it

    def __init__(self, shop: Shop, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.shop = shop
        self._head: Head | None = None
        self._held = b""  # what has come of the request whose ``_head`` is known
        self._ending = False  # that request is the last one

    @property
    def _open(self) -> bool:
        """Whether an answer may follow: the client reads what it is sent, and has no other one to come."""
        return not self.flow.write_paused and (self.cycle is None or self.cycle.response_complete)

    def data_received(self, data: bytes) -> None:
        come = self._held + data
        head = self._head or self._plain(come)
        if head is not None and len(come) < head.end:
            if self._head is None:
                self._began = self.loop.time()
            self._head, self._held = head, come
            return
        self._head, self._held = None, b""
        if head is not None and len(come) == head.end:
            self._take(head, come)
        else:
            super().data_received(come)
            if self._ending:
                super().shutdown()  # the one that is being answered is the last

    def _plain(self, data: bytes) -> Head | None:
        """The head of a request that is to be answered here."""
        if self._parsing or not self._open:
            return None
        head = head_of(data)
        if head is None or head.end - len(head.text) > MOST or head.surface not in self.shop.engine.bundle.surfaces:
            return None
        return head

    @property
    def _coming(self) -> bool:
        return self._parsing or self._head is not None

    def _take(self, head: Head, data: bytes) -> None:
        gate, observation = self.shop.gate, self.shop.observation
        request_id = acceptable_id(head.request_id)
        unseen = gate is None and observation.access is None  # nobody needs a scope
        if unseen and self._full(head, data):
            observation.refused(503)
            self._write(503, REFUSED, REFUSAL, request_id, keep_alive=not self._ending)
            return
        scope = {
            "method": "POST",
            "path": f"/v1/{head.surface}",
            "query_string": b"",
            "headers": head.headers,
            "route": self.route,
            REQUEST_ID: request_id,
        }
        self.cycle = turn = Turn(head.surface, scope, data[len(head.text) :], keep_alive=not self._ending)
        refusal = None if gate is None else gate.refusal(scope)
        before = asking.set(scope)
        if refusal is not None:
            self._say(turn, refusal)
        elif unseen or not self._full(head, data):
            self._begin(turn)
        else:
            self._send(turn, 503, REFUSED, REFUSAL)
        asking.reset(before)

    def _full(self, head: Head, data: bytes) -> bool:
        """Whether too many wait for it to queue. What was asked lately does not: its answer is kept, or being made."""
        if not self.shop.busy:
            return False
        lately = self.shop.lately
        if lately is None or self.shop.engine.bundle.surfaces[head.surface].rules.exploration is not None:
            return True  # no answer is kept, or none of such a surface
        return not lately.has(head.surface, data[len(head.text) :])

    def shutdown(self) -> None:
        """The server was told to stop; a request that has come in part is still answered."""
        if self._head is None:
            super().shutdown()
        else:
            self._ending = True

    def _begin(self, turn: Turn) -> None:
        if self.shop.lately is not None:
            self.shop.lately.take(turn.surface, turn.body)
        try:
            request = decode(turn.body)
            if request.request_id is None:
                request = replace(request, request_id=turn.scope[REQUEST_ID])
            else:
                turn.scope[REQUEST_ID] = request.request_id
            if self.shop.begin(turn.surface, request, partial(self._end, turn)):
                return
        except Exception as error:
            self._end(turn, error)
            return
        self.shop.coming += 1
        turn.task = self.loop.create_task(self._wait(turn, request))
        self.tasks.add(turn.task)  # those that uvicorn waits for when it is told to stop

    async def _wait(self, turn: Turn, request: Request) -> None:
        self.shop.coming -= 1
        outcome: Given | Exception
        try:
            outcome = await self.shop.answer(turn.surface, request)
        except Exception as error:
            outcome = error
        finally:
            self.tasks.discard(turn.task)
        self._end(turn, outcome)

    def _end(self, turn: Turn, outcome: Given | Exception) -> None:
        if not isinstance(outcome, Exception):
            self._send(turn, 200, JSON, outcome.body(turn.scope[REQUEST_ID]))
            return
        refusal = problem_of(outcome)
        if refusal is None:
            self.logger.error("Exception in the quick lane\n", exc_info=outcome)
            refusal = internal_error()
        self._say(turn, refusal)

    def _refused(self, status: int) -> None:
        self.shop.observation.refused(status)

    def _say(self, turn: Turn, response: Response) -> None:
        headers = b"".join(b"%b: %b\r\n" % header for header in response.raw_headers if header[0] != b"content-length")
        self._send(turn, response.status_code, headers, bytes(response.body))

    def _send(self, turn: Turn, status: int, headers: bytes, body: bytes) -> None:
        turn.response_complete = True
        self.shop.observation.ended(turn.scope, status, turn.began)
        self._write(status, headers, body, turn.scope[REQUEST_ID], keep_alive=turn.keep_alive)
