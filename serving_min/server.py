"""From a bundle's folder, or a registry's, to a listening process."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette

from serving_min.app import create_app
from serving_min.bundle import Bundle
from serving_min.connection import Connection
from serving_min.engine import Engine
from serving_min.errors import ServingError
from serving_min.listening import address, listen, waiting
from serving_min.messages import Request
from serving_min.quick import Quick
from serving_min.releases import live_bundle
from serving_min.routes.admin import create_admin_app
from serving_min.settings import Settings
from serving_min.shop import Shop

KEEP_ALIVE = 120  # seconds
COLLECTED_AFTER = 10_000  # objects
LAST_LOOK = 0.1  # seconds in which those who have connected may have asked
DRAIN = 30  # seconds that running requests get when the server is told to stop
LAST = 5  # seconds in which a server that was told twice writes what it has accepted


def serve(path: Path | str, settings: Settings | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C, then answer what is running and return.

    Port 0 takes a free one; the line printed when ready names it. Raises BundleError, ReleaseError for a registry
    that names no bundle, and StartError when the address cannot be had.
    """
    settings = settings or Settings()
    settings.logging.configure()
    shop = open_shop(path, settings) if settings.workers == 1 else None
    with ExitStack() as sockets:
        listener = sockets.enter_context(listen(settings.host, settings.port))
        admin = None
        if settings.admin.port is not None:
            options = "--admin-port"
            admin = sockets.enter_context(listen(settings.admin.host, settings.admin.port, options=options))
        if shop is not None:
            run(shop, listener, admin)
        else:
            from serving_min.workers.supervisor import supervise

            supervise(Path(path), settings, listener, admin)


def open_shop(path: Path | str, settings: Settings, bundle: Path | None = None) -> Shop:
    """The shop of the bundle in a folder, or of the live one of a registry, unless it is to begin with another
    ``bundle``."""
    engine = Engine(Bundle.load(bundle or live_bundle(path)))
    engine.recommend([Request()])  # the first answer is slower, so nobody should wait for it
    return Shop(engine, settings, path=Path(path))


def run(shop: Shop, listener: socket.socket, admin: socket.socket | None) -> None:
    """Answer at ``listener``, and at ``admin`` what only operators may ask, until told to stop."""
    Serving(shop, address(listener), admin).run(sockets=[listener])


def configured(app: Starlette, *, lifespan: bool, protocol: Any = Connection) -> uvicorn.Config:
    """How HTTP is spoken."""
    return uvicorn.Config(
        app,
        loop="auto",  # uvloop, where it exists
        http=protocol,
        ws="none",
        lifespan="on" if lifespan else "off",
        log_config=None,  # the process's own: see serving_min.logs
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nobody here asks where a request came from
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=DRAIN,
    )


def collect_seldom() -> None:
    """What was loaded stays, so no collection of garbage needs to look at it, some 50 ms each time; and what a request
    leaves behind is no cycle, so collections after every dozen requests would find nothing."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECTED_AFTER, 20, 50)


class Beside(uvicorn.Server):
    """A server within the event loop of another one, which hears the signals and stops it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Serving(uvicorn.Server):
    """A shop at the address ``where``, and at ``admin`` for operators; SIGHUP reloads its bundle."""

    def __init__(self, shop: Shop, where: str, admin: socket.socket | None) -> None:
        super().__init__(configured(create_app(shop), lifespan=True, protocol=partial(Quick, shop)))
        self.shop, self.where, self.admin = shop, where, admin
        self._private = admin is not None and admin.family == socket.AF_UNIX  # the supervisor's, which has guards
        self._beside = Beside(configured(create_admin_app(shop, guarded=not self._private), lifespan=False))
        self._tasks: set[asyncio.Task[None]] = set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals tell it to stop, and that is all: uvicorn's would be raised again when it has."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        collect_seldom()
        await super().startup(sockets)
        if self.admin is not None:
            self._spawn(self._beside.serve([self.admin]))
            while not self._beside.started:
                await asyncio.sleep(0.005)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, lambda: self._spawn(self._reload()))
        self._say()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._beside.should_exit = True
        await self.take([connection for listener in sockets or [] for connection in waiting(listener)])
        await asyncio.sleep(LAST_LOOK)
        await super().shutdown(sockets)
        if self.force_exit:  # told twice: nobody who asks is waited for, but what was accepted is still written
            with suppress(TimeoutError):
                await asyncio.wait_for(self.lifespan.shutdown(), LAST)
        await asyncio.gather(*self._tasks)

    async def take(self, connections: Iterable[socket.socket]) -> None:
        """Those that uvicorn has not accepted itself."""
        loop, taken = asyncio.get_running_loop(), []
        for connection in connections:
            connection.setblocking(False)
            taken.append(loop.connect_accepted_socket(self._protocol, connection))
        await asyncio.gather(*taken, return_exceptions=True)  # some may have gone already

    def _protocol(self) -> asyncio.Protocol:
        """As uvicorn makes it for the others."""
        kind: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = kind(self.config, self.server_state, self.lifespan.state)
        return protocol

    async def _reload(self) -> None:
        try:
            await self.shop.fleet.reload()
        except ServingError as error:
            sys.stderr.write(f"serving_min: not reloaded, the old bundle stays: {error}\n")
        else:
            self._say()

    def _say(self) -> None:
        """Which bundle answers, and where."""
        bundle, where = self.shop.engine.bundle, self.where
        operators = f", for operators at {address(self.admin)}" if self.admin and not self._private else ""
        name = f"{bundle.manifest.name} {bundle.manifest.version}"
        sys.stdout.write(f"{name}: {len(bundle.items):,} items at {where} (see {where}/docs){operators}\n")
        sys.stdout.flush()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
