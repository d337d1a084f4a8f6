"""Writing that no answer waits for: a bounded queue, and one thread that carries it away."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Protocol

import msgspec

from serving_min.sinks.records import Line

log = logging.getLogger(__name__)

AT_ONCE = 1_000  # lines handed over in one go

Encoded = tuple[str, bytes]  # whose it is, and the JSON without a line break


class Target(Protocol):
    """Where lines go. Called from one thread. Of the lines that it was given, ``written`` counts those that it has,
    and ``lost`` those that it took and could not keep."""

    written: int
    lost: int

    def append(self, stream: str, lines: Sequence[Encoded]) -> None:
        """What it raises means that these lines are lost."""
        ...

    def sync(self) -> None:
        """Make what was appended safe. Called about once a second, also when nothing was appended."""
        ...

    def close(self) -> None:
        """Leave nothing half-finished. More may be appended afterwards."""
        ...


class Mark(Event):
    """In the queue: what came before it is to be finished; after the ``last`` one nothing comes."""

    def __init__(self, *, last: bool) -> None:
        super().__init__()
        self.last = last


class Status(msgspec.Struct, frozen=True):
    """Lines since the start, and those that wait. ``written`` are those in the target that has the fewest, ``lost`` are
    missing in at least one."""

    written: int
    waiting: int
    lost: int


class EventSink:
    """Hands each line to every one of ``targets``. More than ``waiting`` lines in the queue are lost, and counted."""

    def __init__(self, targets: Sequence[Target], *, waiting: int = 50_000, sync_seconds: float = 1.0) -> None:
        self.targets, self.waiting, self.sync_seconds = targets, waiting, sync_seconds
        self._lost: Counter[str] = Counter()  # by place: each is counted by one thread alone
        self._complaints: set[type[Exception]] = set()
        self._encode = msgspec.json.Encoder().encode
        self._queue: SimpleQueue[Line | Mark] = SimpleQueue()
        self._thread = Thread(target=self._work, name="event sink", daemon=True)

    def start(self) -> None:
        self._thread.start()

    async def stop(self) -> None:
        """Write what waits, make it safe, and end."""
        self._queue.put(Mark(last=True))
        await asyncio.to_thread(self._thread.join)

    async def settle(self) -> None:
        """Finish what was written until now, as if the sink were stopped."""
        mark = Mark(last=False)
        self._queue.put(mark)
        await asyncio.to_thread(mark.wait)

    def write(self, line: Line) -> bool:
        """Never waits. False where the queue is full and the line is lost."""
        if self._queue.qsize() >= self.waiting:
            self._lost["queue"] += 1
            return False
        self._queue.put(line)
        return True

    def status(self) -> Status:
        lost = self._lost["queue"] + self._lost["targets"] + sum(target.lost for target in self.targets)
        return Status(min(target.written for target in self.targets), self._queue.qsize(), lost)

    def _work(self) -> None:
        synced, ended = time.monotonic(), False
        while not ended:
            lines, mark = self._take(synced + self.sync_seconds - time.monotonic())
            by_stream: dict[str, list[Encoded]] = {}
            for line in lines:
                by_stream.setdefault(line.stream, []).append((line.user, self._encode(line)))
            for target in self.targets:
                for stream, encoded in by_stream.items():
                    self._append(target, stream, encoded)
            if mark is not None or time.monotonic() - synced >= self.sync_seconds:
                synced = time.monotonic()
                for target in self.targets:
                    self._do(target, "sync" if mark is None else "close")
            if mark is not None:
                ended = mark.last
                mark.set()

    def _take(self, seconds: float) -> tuple[list[Line], Mark | None]:
        """What has queued, waiting for the first line if need be, until a mark."""
        lines: list[Line] = []
        try:
            line = self._queue.get(timeout=max(0.0, seconds))
            while not isinstance(line, Mark):
                lines.append(line)
                if len(lines) == AT_ONCE:
                    return lines, None
                line = self._queue.get_nowait()
        except Empty:
            return lines, None
        return lines, line

    def _append(self, target: Target, stream: str, lines: list[Encoded]) -> None:
        try:
            target.append(stream, lines)
        except Exception as error:  # whatever it is, the next lines have to go on
            self._lost["targets"] += len(lines)
            self._complain(error)

    def _do(self, target: Target, what: str) -> None:
        try:
            getattr(target, what)()
        except Exception as error:
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        """Once for each kind of error: a full disk would fill the log too."""
        if type(error) not in self._complaints:
            self._complaints.add(type(error))
            log.error("event sink: a target fails: %s", error)
