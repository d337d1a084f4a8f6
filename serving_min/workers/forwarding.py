"""What operators ask of the supervisor reaches its workers."""

from __future__ import annotations

import asyncio
import http.client
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from serving_min.doors import DoorSettings, doors
from serving_min.guard import Gate
from serving_min.wire import PROBLEMS, json_response, problem, read_body

PATIENCE = 600  # seconds: a large bundle takes a while to be verified
PASSED_ON = ("content-type", "x-request-id")
HELD_IN_MEMORY = ("PUT", "/admin/fleet")
INSTEAD = {"/admin/items": "/admin/items/refresh"}  # asked of all but the first, which has written down what changes


class Asked(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Reply(NamedTuple):
    status: int
    body: bytes


class Forwarder:
    """Asks the workers whose sockets are at ``doors``, one after the other, so that never more than one of them loads a
    bundle. The first that refuses is the last that is asked."""

    def __init__(self, doors: Sequence[Path]) -> None:
        self.doors = doors
        self._latest: Asked | None = None

    async def repeat(self, door: Path) -> None:
        """Tell a worker that has just come what the others were told last of what no file holds."""
        if self._latest is not None:
            await asyncio.to_thread(_ask, door, *self._latest)

    async def forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> list[Reply]:
        replies: list[Reply] = []
        for door in self.doors:
            asked = INSTEAD.get(path, path) if replies and method == "POST" else path
            replies.append(await asyncio.to_thread(_ask, door, method, asked, headers, body))
            if replies[-1].status >= 400:
                return replies
        if (method, path) == HELD_IN_MEMORY:
            self._latest = Asked(method, path, headers, body)
        return replies

    def app(self, settings: DoorSettings) -> Starlette:
        """Any route: the workers' answers as ``{"workers": […]}``, or that of the one that refused. Raises StartError
        for keys that cannot be read."""

        async def ask(http: HttpRequest) -> Response:
            headers = {name: http.headers[name] for name in PASSED_ON if name in http.headers}
            path = http.url.path + (f"?{http.url.query}" if http.url.query else "")
            try:
                replies = await self.forward(http.method, path, headers, await read_body(http.receive))
            except OSError as error:
                return problem(503, f"a worker does not answer: {error}", **{"Retry-After": "1"})
            if replies[-1].status >= 400:
                return json_response(replies[-1].body, replies[-1].status)
            return json_response({"workers": [msgspec.Raw(reply.body) for reply in replies]})

        methods = ["GET", "POST", "PUT", "DELETE"]
        return Starlette(
            routes=[Route("/{path:path}", ask, methods=methods)],
            middleware=doors(settings, Gate.read(settings.keys)),
            exception_handlers=PROBLEMS,
        )


def _ask(door: Path, method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
    connection = _DoorConnection(door)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return Reply(response.status, response.read())
    except http.client.HTTPException as error:
        raise ConnectionError(str(error)) from error
    finally:
        connection.close()


class _DoorConnection(http.client.HTTPConnection):
    def __init__(self, door: Path) -> None:
        super().__init__("worker", timeout=PATIENCE)
        self.door = door

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.door))
