"""What operators ask of the supervisor reaches its workers."""

from __future__ import annotations

import asyncio
import http.client
import logging
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import msgspec
from msgspec.structs import replace
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from serving_min.doors import DoorSettings, doors
from serving_min.fleet.settings import FleetSettings
from serving_min.fleet.status import Status
from serving_min.guard import Gate
from serving_min.routes.supervised import BACK, KEPT, Back
from serving_min.wire import PROBLEMS, json_response, problem, read_body

LOG = logging.getLogger(__name__)
PATIENCE = 600  # seconds: a large bundle takes a while to be verified
PASSED_ON = ("content-type", "x-request-id")
FLEET, RELOAD = "/admin/fleet", "/admin/reload"
INSTEAD = {"/admin/items": "/admin/items/refresh"}  # asked of all but the first, which has written down what changes


class Reply(NamedTuple):
    status: int
    body: bytes


class Forwarder:
    """Asks the workers whose sockets are at ``doors``, one after the other, so that never more than one of them loads a
    bundle. The first that refuses is the last that is asked, and those before it go back to the bundles that they had,
    if those are still in their folders. No file says that they serve ``bundle``, and ``fleet`` beside it; those in
    ``told`` have heard of all."""

    def __init__(self, doors: Sequence[Path], bundle: Path, fleet: FleetSettings) -> None:
        self.doors, self.bundle, self.fleet = doors, bundle, fleet
        self.told = {*doors}
        self._one_at_a_time = asyncio.Lock()

    async def repeat(self, door: Path, bundle: Path) -> list[Reply]:
        """Tell a worker that has just come, with ``bundle``, what it has missed: a reload, and which bundles are beside
        the live one. A canary that had to leave one of the others does not come back. Raises OSError when the new one
        does not answer."""
        async with self._one_at_a_time:
            await self._look_round([*self.told])
            missed = [("POST", RELOAD, b"")] if bundle != self.bundle else []
            missed += [("PUT", FLEET, msgspec.json.encode(self.fleet))] if self.fleet.others else []
            replies = [await asyncio.to_thread(_ask, door, method, path, {}, body) for method, path, body in missed]
            self.told.add(door)
            return replies

    async def _look_round(self, doors: Sequence[Path]) -> None:
        """Take notice of canaries that had to leave one of these workers."""
        for door in doors:
            with suppress(OSError):  # it has gone meanwhile
                reply = await asyncio.to_thread(_ask, door, "GET", FLEET, {}, b"")
                if door in self.told and reply.status == 200:
                    self._without_those_that_left(reply.body)

    async def without(self, canary: str) -> None:
        """The bundle of this canary left one worker, which may be no more: let it leave all."""
        self._let_go(lambda bundle: bundle == canary)  # who comes while others are asked should know
        async with self._one_at_a_time:
            doors = [*self.told]
            await self._look_round(doors)
            await self._tell(doors)

    async def throw_away(self) -> None:
        """Let all throw away the answers that they keep: one of them forgot a user."""
        for door in [*self.told]:
            with suppress(OSError):
                await asyncio.to_thread(_ask, door, "DELETE", KEPT, {}, b"")

    async def forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> list[Reply]:
        """Raises OSError when a worker does not answer, which counts as a refusal."""
        replies: list[Reply] = []
        if method == "GET":
            await self._ask_all(method, path, headers, body, replies)
            return replies
        async with self._one_at_a_time:  # else two workers may hear of two changes in different order
            try:
                await self._ask_all(method, path, headers, body, replies)
            except OSError as error:
                LOG.warning("worker %s does not answer %s %s: %r", self.doors[len(replies)].name, method, path, error)
                await self._undo(method, path, replies)
                raise
            if replies[-1].status < 400:
                self._remember(method, path, body, replies[-1])
            else:
                await self._undo(method, path, replies[:-1])
            return replies

    async def _undo(self, method: str, path: str, done: Sequence[Reply]) -> None:
        """What those who gave these replies did, another worker did not."""
        if (method, path) == ("PUT", FLEET):
            await self._take_back(self.doors[: len(done)])
        if (method, path) == ("POST", RELOAD):
            await self._go_back(done)

    async def _take_back(self, doors: Sequence[Path]) -> None:
        """These hear again which bundles were there."""
        await self._look_round(self.doors[len(doors) :])
        await self._tell(doors)

    async def _tell(self, doors: Sequence[Path]) -> None:
        """Which bundles are beside the live one. Look round before: they know no better than to load a canary anew."""
        for door in doors:
            await self._again(door, FLEET, self.fleet)

    async def _go_back(self, replies: Sequence[Reply]) -> None:
        """Those who replied that they have a new bundle get the one that was live."""
        for door, reply in zip(self.doors, replies, strict=False):
            if _bundle(reply) != self.bundle:
                await self._again(door, BACK, Back(str(self.bundle)))
            else:
                LOG.warning("worker %s serves what is now in %s, which another one refused", door.name, self.bundle)

    async def _again(self, door: Path, path: str, what: Back | FleetSettings) -> None:
        """Tell a worker what the others serve; where it stays with something else, somebody should know."""
        try:
            reply = await asyncio.to_thread(_ask, door, "PUT", path, {}, msgspec.json.encode(what))
        except OSError as error:
            LOG.warning("worker %s may serve other bundles than the rest: %r", door.name, error)
        else:
            if reply.status >= 400:
                said = reply.body.decode(errors="replace")
                LOG.warning("worker %s may serve other bundles than the rest: %d %s", door.name, reply.status, said)

    def _remember(self, method: str, path: str, body: bytes, reply: Reply) -> None:
        if (method, path) == ("PUT", FLEET):
            self.fleet = msgspec.json.decode(body, type=FleetSettings)
        if (method, path) == ("POST", RELOAD):
            self.bundle = _bundle(reply)

    def _without_those_that_left(self, status: bytes) -> None:
        there = {member.bundle for member in msgspec.json.decode(status, type=Status).members}
        self._let_go(lambda bundle: bundle not in there)

    def _let_go(self, left: Callable[[str], bool]) -> None:
        """Canaries of the bundles that ``left``."""
        stay = tuple(other for other in self.fleet.others if other.role != "canary" or not left(other.bundle))
        self.fleet = replace(self.fleet, others=stay)

    async def _ask_all(
        self, method: str, path: str, headers: dict[str, str], body: bytes, replies: list[Reply]
    ) -> None:
        for door in self.doors:
            asked = INSTEAD.get(path, path) if replies and method == "POST" else path
            replies.append(await asyncio.to_thread(_ask, door, method, asked, headers, body))
            if replies[-1].status >= 400:
                break

    def app(self, settings: DoorSettings) -> Starlette:
        """Operators' routes: the workers' answers as ``{"workers": […]}``, or that of the one that refused. Raises
        StartError for keys that cannot be read."""

        async def ask(http: HttpRequest) -> Response:
            headers = {name: http.headers[name] for name in PASSED_ON if name in http.headers}
            path = quote(http.scope["path"])  # no operators' route looks at a query
            try:
                replies = await self.forward(http.method, path, headers, await read_body(http.receive))
            except OSError as error:
                return problem(503, f"a worker does not answer: {error}", **{"Retry-After": "1"})
            if replies[-1].status >= 400:
                return json_response(replies[-1].body, replies[-1].status)
            return json_response({"workers": [msgspec.Raw(reply.body) for reply in replies]})

        methods = ["GET", "POST", "PUT", "DELETE"]
        app = Starlette(
            routes=[Route("/admin/{path:path}", ask, methods=methods)],
            middleware=doors(settings, Gate.read(settings.keys)),
            exception_handlers=PROBLEMS,
        )
        app.router.redirect_slashes = False
        return app


def _bundle(reloaded: Reply) -> Path:
    return Path(msgspec.json.decode(reloaded.body)["bundle"])


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
