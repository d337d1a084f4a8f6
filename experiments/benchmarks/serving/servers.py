"""Servers to be measured: each a process of its own, pinned to one core."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.benchmarks.peers import ROOT, THREADS

SERVER_CORE, CLIENT_CORE = 0, 1
ENVIRONMENT = {**os.environ, **dict.fromkeys(THREADS, "1")}


@dataclass
class Server:
    """A running one; ``ready_seconds`` is from the start of its process to the line that says it listens."""

    process: int
    host: str
    port: int
    ready_seconds: float

    @property
    def cpu_seconds(self) -> float:
        """User and system time so far."""
        fields = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def resident_mib(self) -> int:
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process}/status").read_text())
        return round(int(found[1]) / 1024) if found else 0

    def ask(self, requests: Path, **options: Any) -> dict[str, Any]:
        """What ``load`` with these options measured, and the server's CPU time per answer."""
        named = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        words = ["-m", "experiments.benchmarks.serving.load", self.host, str(self.port), str(requests), *named]
        before = self.cpu_seconds
        done = subprocess.run(
            [sys.executable, *words],
            cwd=ROOT,
            env=ENVIRONMENT,
            check=True,
            stdout=subprocess.PIPE,
            preexec_fn=lambda: os.sched_setaffinity(0, {CLIENT_CORE}),
        )
        measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        answers = sum(measured["answered"].values())
        return {**measured, "server_cpu_microseconds": round((self.cpu_seconds - before) / max(1, answers) * 1e6)}

    @contextmanager
    def idle_connections(self, count: int) -> Iterator[int]:
        """That many clients who have asked once and keep their connection; how many the server accepted."""
        loop = asyncio.new_event_loop()

        async def connect() -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
            opened = []
            for _ in range(count):
                reader, writer = await asyncio.open_connection(self.host, self.port)
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                await reader.readuntil(b"}")
                opened.append((reader, writer))
            return opened

        opened = loop.run_until_complete(connect())
        try:
            yield len(opened)
        finally:
            for _, writer in opened:
                writer.close()
            loop.run_until_complete(asyncio.sleep(0.1))
            loop.close()


@contextmanager
def running(words: Sequence[str | Path], python: Path | str = sys.executable) -> Iterator[Server]:
    """``python words``, which prints a line with its address when it is ready."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [str(python), *map(str, words)],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {SERVER_CORE}),
    )
    with process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://([\d.]+):(\d+)", line)
            if found is None:
                raise SystemExit(f"{words}: not ready, it said {line!r}")
            yield Server(process.pid, found[1], int(found[2]), round(time.perf_counter() - began, 2))
        finally:
            process.kill()
