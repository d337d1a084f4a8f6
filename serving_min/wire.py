"""JSON over HTTP: bodies of limited size in, answers and problems out, an id on each."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextvars import ContextVar
from random import getrandbits
from typing import cast

import msgspec
from starlette.convertors import Convertor, register_url_convertor
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, ExceptionHandler, Message, Receive, Scope, Send

from serving_min.errors import BusyError, RequestError, UnknownSurfaceError
from serving_min.messages import Problem

LARGEST_BODY = 1 << 20  # bytes
REQUEST_ID = "X-Request-Id"
PAGE = {
    "Content-Security-Policy": "default-src 'self'; img-src * data:; script-src 'self' 'unsafe-inline'; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
}
ACCEPTABLE_ID = re.compile(r"[\x21-\x7e]{1,128}")

Ended = Callable[[Scope, int, float], None]
asking: ContextVar[Scope | None] = ContextVar("asking", default=None)


class Id(Convertor[str]):
    """An id as the last part of a path: slashes and line breaks are letters like any other, but there is one."""

    regex = "(?s:.+)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("id", Id())


async def read_body(receive: Receive) -> bytes:
    """Raises HTTPException 413 as soon as more than 1 MiB has come in, ClientDisconnect when no more will come."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > LARGEST_BODY:
            raise HTTPException(413, f"the body is larger than {LARGEST_BODY} bytes")
        if not message.get("more_body"):
            return bytes(body)


def new_request_id() -> str:
    """32 letters that nobody else has, in a tenth of the time of a UUID: they are no secret."""
    return f"{getrandbits(128):032x}"


def acceptable_id(given: str) -> str:
    """A request's own id, or a new one where it has none that can be logged and sent back."""
    return given if given and ACCEPTABLE_ID.fullmatch(given) else new_request_id()


def take_request_id(request: Request, given: str | None = None) -> str:
    """The id that answer and response carry: the one ``given`` in the body, or the header's, or a new one."""
    if given is not None:
        request.scope[REQUEST_ID] = given
    return str(request.scope[REQUEST_ID])


def json_response(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """``content`` is encoded, unless it is JSON already (bytes)."""
    encoded = content if isinstance(content, bytes) else msgspec.json.encode(content)
    return Response(encoded, status, headers, "application/json")


def problem(status: int, what: str, **headers: str) -> Response:
    return json_response(Problem(what), status, headers)


def _on_http(request: Request, error: Exception) -> Response:
    refusal = cast(HTTPException, error)
    headers = dict(refusal.headers or {})
    what = refusal.detail
    if refusal.status_code == 404:
        what = f"no route {request.url.path}; see /docs"
    if refusal.status_code == 405:
        what = f"{request.url.path} does not take {request.method}; use {headers.get('Allow')}"
    return problem(refusal.status_code, what, **headers)


def problem_of(error: Exception) -> Response | None:
    """What is said of an expected error; None for a bug."""
    status = next((status for kind, status in EXPECTED.items() if isinstance(error, kind)), None)
    if status is None:
        return None
    no_json = isinstance(error, ValueError) and not isinstance(error, msgspec.ValidationError)
    headers = {"Retry-After": "1"} if status == 503 else {}
    return problem(status, f"the body is not JSON: {error}" if no_json else str(error), **headers)


def internal_error() -> Response:
    return problem(500, "internal error; the server's log has the traceback")


def _on_expected(_: Request, error: Exception) -> Response:
    return cast(Response, problem_of(error))


def _on_gone(_: Request, __: Exception) -> Response:
    return problem(400, "the body ended too soon")  # nobody is there to read it, but it is no bug to log


def _on_bug(request: Request, _: Exception) -> Response:
    response = internal_error()
    response.headers[REQUEST_ID] = request.scope[REQUEST_ID]  # the middleware below has given up
    return response


EXPECTED = {  # the first that fits
    BusyError: 503,
    UnknownSurfaceError: 404,
    RequestError: 422,
    msgspec.DecodeError: 422,
    UnicodeDecodeError: 422,
}
PROBLEMS: dict[type[Exception] | int, ExceptionHandler] = {
    **dict.fromkeys(EXPECTED, _on_expected),
    HTTPException: _on_http,
    ClientDisconnect: _on_gone,
    Exception: _on_bug,
}


def unheard(scope: Scope, status: int, began: float) -> None:
    """Nobody wants to know that a request has ended."""


class RequestIds:
    """Middleware: each response carries the request's ``X-Request-Id``, or a new one, and pages say what they may do.

    ``asking`` is the request's scope within whatever it awaits. ``ended`` is told the scope, the status and when the
    request began, as ``time.monotonic``.
    """

    def __init__(self, app: ASGIApp, ended: Ended = unheard) -> None:
        self.app, self.ended = app, ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.monotonic()
        given = Headers(scope=scope).get(REQUEST_ID, "")
        scope[REQUEST_ID] = acceptable_id(given)
        asking.set(scope)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = scope[REQUEST_ID]
                if headers.get("content-type", "").startswith("text/html"):
                    headers.update(PAGE)
                self.ended(scope, message["status"], began)
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except Exception:
            self.ended(scope, 500, began)
            raise
