"""Servers to be measured: processes of their own, pinned to a core or two."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from experiments.benchmarks.peers import ROOT, THREADS

SERVER_CORE, CLIENT_CORE = 0, 1
ENVIRONMENT = {**os.environ, **dict.fromkeys(THREADS, "1")}


@dataclass
class Server:
    """A running one, with the processes that it started itself; ``ready_seconds`` is from the start of its process to
    the line that says it listens."""

    process: int
    host: str
    port: int
    ready_seconds: float

    @property
    def cpu_seconds(self) -> float:
        """User and system time so far."""
        ticks = 0
        for process in self._processes:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    @property
    def resident_mib(self) -> int:
        """What is in memory, mapped files too; what two processes share counts once."""
        rollups = [Path(f"/proc/{process}/smaps_rollup").read_text() for process in self._processes]
        return round(sum(int(found[1]) for text in rollups if (found := re.search(r"Pss:\s+(\d+)", text))) / 1024)

    @property
    def _processes(self) -> list[int]:
        children = Path(f"/proc/{self.process}/task/{self.process}/children").read_text()
        return [self.process, *map(int, children.split())]

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

    def stage_seconds(self) -> Counter[str]:
        """What its batches have spent in each stage so far, as it says itself."""
        with urlopen(f"http://{self.host}:{self.port}/metrics", timeout=5) as response:
            told = re.finditer(
                r'^recsys_stage_seconds_sum\{.*?stage="(\w+)".*?\} (\S+)$', response.read().decode(), re.M
            )
        stages: Counter[str] = Counter()
        for each in told:
            stages[each[1]] += float(each[2])
        return stages

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
def redis() -> Iterator[str]:
    """The address of a Redis of our own, on the load generator's core; several workers keep what users do there."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    pinned = partial(os.sched_setaffinity, 0, {CLIENT_CORE})
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, preexec_fn=pinned) as process:
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()


@contextmanager
def running(
    words: Sequence[str | Path], python: Path | str = sys.executable, cores: Collection[int] = (SERVER_CORE,)
) -> Iterator[Server]:
    """``python words``, which prints a line with its address when it is ready."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [str(python), *map(str, words)],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
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
            process.terminate()  # so that it ends those that it started
