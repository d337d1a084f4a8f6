"""The routes that are asked thousands of times a second, without what a framework does for all routes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace
from starlette.requests import Request as HttpRequest
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from serving_min.guard import EVENTS
from serving_min.messages import Problem, Request
from serving_min.shop import Shop
from serving_min.wire import PROBLEMS, REQUEST_ID, read_body

PREFIX = "/v1/"
JSON = (b"content-type", b"application/json")
REFUSAL = msgspec.json.encode(Problem("too many requests are waiting already; try again in a second"))
REFUSED = [JSON, (b"content-length", str(len(REFUSAL)).encode()), (b"retry-after", b"1")]


class Quick:
    """Middleware, the innermost: answers ``POST /v1/SURFACE`` as ``routes.recommend`` does, in a quarter of the time,
    and leaves everything else to the routes behind it."""

    def __init__(self, app: ASGIApp, shop: Shop) -> None:
        self.app, self.shop = app, shop
        self.route = Route(f"{PREFIX}{{surface}}", self)  # as the access log calls it
        self._decode = msgspec.json.Decoder(Request).decode

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        surface = path[len(PREFIX) :]
        if (
            scope["type"] != "http"
            or scope["method"] != "POST"
            or not path.startswith(PREFIX)
            or path == EVENTS
            or surface not in self.shop.engine.bundle.surfaces
        ):
            await self.app(scope, receive, send)
            return
        scope["route"] = self.route
        if self.shop.busy:  # before anything is read, since what is refused must cost little
            await send({"type": "http.response.start", "status": 503, "headers": REFUSED})
            await send({"type": "http.response.body", "body": REFUSAL})
            return
        try:
            request = self._decode(await read_body(receive))
            if request.request_id is None:
                request = replace(request, request_id=scope[REQUEST_ID])
            else:
                scope[REQUEST_ID] = request.request_id
            given = await self.shop.answer(surface, request)
        except Exception as error:
            handler = _handler(error)
            if handler is None:
                raise
            await handler(HttpRequest(scope, receive), error)(scope, receive, send)
            return
        body = given.body(request.request_id or "")
        headers = [JSON, (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _handler(error: Exception) -> Callable[[Any, Any], Any] | None:
    """What makes a response of an expected error; None for a bug."""
    kinds = type(error).__mro__[: -len(Exception.__mro__)]
    return next((PROBLEMS[kind] for kind in kinds if kind in PROBLEMS), None)
