"""The log as files: append-only segments of JSON lines, whole once they have their name.

FOLDER/events/date=2026-11-23/.20261123T221500-5f1c0a9e.jsonl.open    being written
FOLDER/events/date=2026-11-23/20261123T221500-5f1c0a9e.jsonl          finished (or .parquet)
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from uuid import uuid4

from serving_min.sinks.sink import Encoded

log = logging.getLogger(__name__)

Format = Literal["jsonl", "parquet"]
OPEN = ".open"


class Segments:
    """A target for the sink. A segment is finished after ``size`` bytes or ``seconds`` seconds, and at midnight (UTC).

    While it is written, its file is locked; so one that a killed process left behind can be told from those of
    processes that live on this machine, and is finished at the next start, without a torn last line.
    """

    def __init__(
        self,
        folder: Path,
        *,
        size: int = 64 << 20,
        seconds: float = 3_600,
        format: Format = "jsonl",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.folder, self.size, self.seconds, self.format, self.clock = folder, size, seconds, format, clock
        self.written = self.lost = 0
        self._open: dict[str, Segment] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.glob(f"*/date=*/.*{OPEN}")):
            if (left := Segment.left_behind(path)) is not None:
                left.finish(format)

    def append(self, stream: str, lines: Sequence[Encoded]) -> None:
        now = self.clock()
        if stream in self._open and self._is_over(self._open[stream], now):
            self._open.pop(stream).finish(self.format)
        if stream not in self._open:
            self._open[stream] = Segment.begin(self.folder / stream, now)
        self._open[stream].write(b"".join(line + b"\n" for _, line in lines))
        self.written += len(lines)

    def sync(self) -> None:
        now = self.clock()
        for stream, segment in list(self._open.items()):
            segment.sync()
            if self._is_over(segment, now):
                self._open.pop(stream).finish(self.format)

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].finish(self.format)

    def _is_over(self, segment: Segment, now: float) -> bool:
        return segment.size >= self.size or now - segment.began >= self.seconds or segment.date != _date(now)


class Segment:
    """One file that is being written, under its hidden name."""

    def __init__(self, path: Path, descriptor: int, began: float) -> None:
        self.path, self.began, self.date = path, began, _date(began)
        self._descriptor = descriptor
        self.size = self._synced = os.fstat(descriptor).st_size

    @classmethod
    def begin(cls, folder: Path, now: float) -> Segment:
        while True:
            path = folder / f"date={_date(now)}" / f".{_moment(now)}-{uuid4().hex[:8]}.jsonl{OPEN}"
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o640)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                return cls(path, descriptor, now)
            os.close(descriptor)  # somebody took it for one that was left behind

    @classmethod
    def left_behind(cls, path: Path) -> Segment | None:
        """A segment that nobody writes to any more, cut after its last whole line; None where somebody does, and where
        there is no such line: then it is gone."""
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError:  # another process was sooner
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            whole = len(whole_lines(path))
            if not whole:
                path.unlink()
        except (BlockingIOError, FileNotFoundError):
            whole = 0
        if not whole:
            os.close(descriptor)
            return None
        os.ftruncate(descriptor, whole)
        return cls(path, descriptor, 0)

    def write(self, lines: bytes) -> None:
        """All of them, or none: what a full disk cuts off is taken back. Raises OSError."""
        written = 0
        try:
            while written < len(lines):
                written += os.write(self._descriptor, lines[written:])
        except OSError:
            os.ftruncate(self._descriptor, self.size)
            raise
        self.size += written

    def sync(self) -> None:
        if self.size != self._synced:
            os.fsync(self._descriptor)
            self._synced = self.size

    def finish(self, format: Format) -> None:
        """Give it its name, which says that nothing will change any more. What cannot become Parquet, since a line is
        damaged or the disk is full, stays JSON lines."""
        final = self.path.with_name(self.path.name.removeprefix(".").removesuffix(OPEN))
        try:
            self.sync()
            if format == "parquet" and self._packed(final.with_suffix(".parquet")):
                self.path.unlink()
            else:
                self.path.rename(final)
        finally:
            os.close(self._descriptor)  # and with it the lock: what failed is tried again at the next start
        _sync_folder(final.parent)

    def _packed(self, final: Path) -> bool:
        """Whether it could be written as Parquet."""
        from serving_min.sinks.parquet import write_parquet

        try:
            write_parquet(self.path, final)
        except Exception as error:  # whatever it is, a new name needs neither space nor lines that can be read
            log.warning("event log: %s stays JSON lines: %s", final.with_suffix(".jsonl"), error)
            return False
        return True


def finished(folder: Path) -> Iterator[Path]:
    """The finished segments of all streams, by date."""
    for path in sorted(folder.glob("*/date=*/*")):
        if path.suffix in (".jsonl", ".parquet") and not path.name.startswith("."):
            yield path


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Nobody else, in this process or another one, moves or rewrites finished segments within the block."""
    descriptor = os.open(folder / ".alone", os.O_RDWR | os.O_CREAT, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def whole_lines(path: Path) -> bytes:
    """A file up to its last line break: a line that was cut off by a crash is none."""
    content = path.read_bytes()
    return content[: content.rfind(b"\n") + 1]


def _date(now: float) -> str:
    return f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d}"


def _moment(now: float) -> str:
    return f"{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%S}"


def _sync_folder(folder: Path) -> None:
    """A new name is safe only when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
