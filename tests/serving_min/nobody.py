"""A client that is not there: a test says what comes from it, and what time it is."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from uvicorn.server import ServerState

from serving_min.server import configured

TURNS = 50  # of the loop, within which whatever waits for nobody is done


class Loop(asyncio.SelectorEventLoop):
    """Its time is told."""

    now = 0.0

    def time(self) -> float:
        return self.now

    def go_on(self, to: float | None = None) -> None:
        """Do what is to be done, and is due when it is that late."""
        self.now = self.now if to is None else to
        self.run_until_complete(_turns())


async def _turns() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Nobody:
    """Connected to ``app`` by the protocol that ``kind`` makes."""

    def __init__(self, loop: Loop, app: Starlette, kind: Callable[..., Any]) -> None:
        self.loop, self.transport = loop, Transport()
        config = configured(app, lifespan=False)
        self.protocol = kind(config=config, server_state=ServerState(), app_state={}, _loop=loop)
        self.protocol.connection_made(self.transport)

    def say(self, *pieces: bytes) -> list[int]:
        """The statuses of what is answered."""
        before = len(self.transport.sent)
        for piece in pieces:
            if not self.transport.closed:
                self.protocol.data_received(piece)
                self.loop.go_on()
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", self.transport.sent[before:])]

    def leave(self) -> None:
        self.protocol.connection_lost(None)
        self.loop.go_on()
