"""Starts the workers, replaces those that die, tells them what it is told."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from msgspec.structs import replace

from serving_min.doors import DoorSettings
from serving_min.errors import StartError
from serving_min.listening import address
from serving_min.releases import Registry, live_bundle
from serving_min.server import DRAIN, Beside, configured
from serving_min.settings import Settings
from serving_min.workers.connections import Dispatcher
from serving_min.workers.forwarding import Forwarder
from serving_min.workers.process import Worker
from serving_min.workers.tidings import Left

HASTY = 10  # seconds; who dies sooner has to wait before the next attempt
LONGEST_WAIT = 30  # seconds


def supervise(path: Path, settings: Settings, listener: socket.socket, admin: socket.socket | None) -> None:
    """Run ``settings.workers`` processes that share what comes to ``listener``, until SIGTERM or Ctrl-C; then let them
    drain.

    Raises StartError when state would be in each worker's own memory, or when one of them cannot start.
    """
    if settings.state.redis is None:
        raise StartError(
            f"{settings.workers} workers share no memory: say where they keep what users do, --redis redis://HOST:PORT/0"
        )
    with TemporaryDirectory(prefix="serving_min-") as own:
        folder = Path(own)
        if settings.meters is None:
            (folder / "meters").mkdir()
            settings = replace(settings, meters=str(folder / "meters"))
        if settings.items.file is None and not Registry.there(path):
            settings = replace(settings, items=replace(settings.items, file=str(folder / "items.jsonl")))
        workers = [
            Worker(number, path, settings, address(listener), folder / str(number))
            for number in range(settings.workers)
        ]
        forwarder = Forwarder([worker.door for worker in workers], live_bundle(path), settings.fleet)
        asyncio.run(Supervisor(workers, forwarder, settings.doors, listener, admin).run())


class Supervisor:
    def __init__(
        self,
        workers: list[Worker],
        forwarder: Forwarder,
        doors: DoorSettings,
        listener: socket.socket,
        admin: socket.socket | None,
    ) -> None:
        self.workers, self.where, self.admin = workers, address(listener), admin
        self.dispatcher = Dispatcher(listener, [worker.channel for worker in workers])
        self.forwarder = forwarder
        self._operators = Beside(configured(self.forwarder.app(doors), lifespan=False))
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        loop, told = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, told.set)
        serving = None
        try:
            bundle, fleet = self.forwarder.bundle, self.forwarder.fleet
            ready = await asyncio.gather(*(worker.start(bundle, fleet) for worker in self.workers))
            if None in ready:
                raise StartError("a worker could not start; the line above says why")
            if self.admin is not None:
                serving = loop.create_task(self._operators.serve([self.admin]))
            self.dispatcher.open.update(worker.number for worker in self.workers)
            self.dispatcher.start()
            keeping = [loop.create_task(self._keep(worker)) for worker in self.workers]
            loop.add_signal_handler(signal.SIGHUP, lambda: self._spawn(self._reload()))
            self._say(str(ready[0]))
            await told.wait()
            self.dispatcher.stop()
            self.forwarder.told.clear()  # what a worker tells now concerns nobody
            for task in keeping:
                task.cancel()
        finally:
            self._operators.should_exit = True
            await self._drain()
            if serving is not None:
                await serving

    async def _keep(self, worker: Worker) -> None:
        """Replace it whenever it ends, later each time it ends soon."""
        hasty = 0
        while True:
            began = time.monotonic()
            self._spawn(self._hear(worker))
            how = await worker.ended()
            self.dispatcher.lost(worker.number)
            self.forwarder.told.discard(worker.door)
            hasty = hasty + 1 if time.monotonic() - began < HASTY else 0
            sys.stderr.write(f"serving_min: worker {worker.number} {how}; another takes its place\n")
            if hasty > 1:
                await asyncio.sleep(min(LONGEST_WAIT, 2 ** (hasty - 2)))
            bundle, fleet = self.forwarder.bundle, self.forwarder.fleet
            if await worker.start(bundle, replace(fleet, others=())) is not None:
                with suppress(OSError):  # it died again
                    await self._catch_up(worker, bundle)
                self.dispatcher.open.add(worker.number)

    async def _hear(self, worker: Worker) -> None:
        async for tidings in worker.tidings():
            if isinstance(tidings, Left):
                self._spawn(self.forwarder.without(tidings.bundle))
            else:
                self._spawn(self.forwarder.throw_away())

    async def _catch_up(self, worker: Worker, bundle: Path) -> None:
        """Tell a new one, which has ``bundle``, what the others were told."""
        for reply in await self.forwarder.repeat(worker.door, bundle):
            if reply.status >= 400:
                why = msgspec.json.decode(reply.body)["error"]
                sys.stderr.write(f"serving_min: worker {worker.number} lacks a bundle that the others have: {why}\n")

    async def _reload(self) -> None:
        try:
            reply = (await self.forwarder.forward("POST", "/admin/reload", {}, b""))[-1]
        except OSError as error:
            sys.stderr.write(f"serving_min: not reloaded by all workers: {error}\n")
            return
        said = msgspec.json.decode(reply.body)
        if reply.status >= 400:
            sys.stderr.write(f"serving_min: not reloaded, the old bundle stays: {said['error']}\n")
        else:
            self._say(f"{said['name']} {said['version']} at {self.where}")

    async def _drain(self) -> None:
        # told twice, they wait for nobody
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._tell, signal.SIGINT)
        self._tell(signal.SIGTERM)
        ended = asyncio.gather(*(worker.ended() for worker in self.workers))
        with suppress(TimeoutError):
            await asyncio.wait_for(ended, DRAIN + 5)
        self._tell(signal.SIGKILL)

    def _tell(self, number: signal.Signals) -> None:
        for worker in self.workers:
            worker.tell(number)

    def _say(self, what: str) -> None:
        operators = f", for operators at {address(self.admin)}" if self.admin else ""
        sys.stdout.write(f"{what}, {len(self.workers)} workers{operators}\n")
        sys.stdout.flush()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
