"""What the tests of all state stores share: events to put in, and a Redis of one's own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from serving_min.events import Kind
from serving_min.state.store import Arrival, Touch


def arrival(identity: str, item: str, time: int = 0, *, user: str = "ann", event: Kind = "view") -> Arrival:
    return Arrival(identity, user, Touch(item, event, time) if item else None)


class RedisServer:
    """A real redis-server on a free port, which tests may kill and start again."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("redis-server is not installed: apt-get install redis-server")
        folder.mkdir()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        options = {"--port": self.port, "--bind": "127.0.0.1", "--dir": folder, "--appendonly": "yes"}
        options |= {"--appendfsync": "always", "--save": "''"}
        self.command = [program, *(str(word) for option in options.items() for word in option)]

    def start(self) -> None:
        """Returns when it takes connections."""
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port)) as probe:
                    probe.sendall(b"PING\r\n")
                    if probe.recv(7) == b"+PONG\r\n":
                        return
            except OSError:
                pass
            assert time.monotonic() < deadline, "redis-server did not start"
            time.sleep(0.02)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
