"""One worker, as the supervisor sees it."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
from msgspec.structs import replace

from serving_min.fleet.settings import FleetSettings
from serving_min.settings import Settings
from serving_min.workers.connections import make_channel
from serving_min.workers.tidings import Tidings, understood
from serving_min.workers.worker import Order


class Worker:
    """``admin`` is a socket of its own, at ``door``. It outlives the process, as the ``channel`` does: what operators
    ask while it is replaced waits for the next one, and no connection on its way is lost."""

    def __init__(self, number: int, path: Path, settings: Settings, where: str, door: Path) -> None:
        self.number, self.door = number, door
        self.channel = make_channel()
        self.admin = socket.socket(socket.AF_UNIX)
        self.admin.bind(str(door))
        self.admin.listen()
        self.process: Process | None = None
        self.path, self.settings, self.where = path, settings, where
        self._sockets = (self.channel[1].fileno(), self.admin.fileno())

    async def start(self, bundle: Path, fleet: FleetSettings) -> str | None:
        """Let it serve ``bundle``, and the ``fleet`` beside it. The line that it says when it is ready; None when it
        ended before."""
        settings = replace(self.settings, fleet=fleet)
        order = Order(str(self.path), str(bundle), settings, self.where, *self._sockets)
        words = [sys.executable, "-m", "serving_min.workers.worker"]
        self.process = await asyncio.create_subprocess_exec(*words, stdin=PIPE, stdout=PIPE, pass_fds=self._sockets)
        if self.process.stdin is None or self.process.stdout is None:  # they are pipes, as asked for
            return None
        self.process.stdin.write(msgspec.json.encode(order) + b"\n")
        line = await self.process.stdout.readline()
        if not line:
            await self.process.wait()
        return line.decode().strip() or None

    async def tidings(self) -> AsyncIterator[Tidings]:
        """What it tells until it ends, and what it told before."""
        said = None if self.process is None else self.process.stdout
        while said is not None:
            try:
                line = await said.readline()
            except ValueError:  # nothing that it tells is so long
                continue
            if not line:
                break
            if (tidings := understood(line)) is not None:
                yield tidings

    async def ended(self) -> str:
        """How, once it has."""
        if self.process is None:
            return "has not been started"
        code = await self.process.wait()
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    def tell(self, number: signal.Signals) -> None:
        """Send a signal, if it is there."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)
