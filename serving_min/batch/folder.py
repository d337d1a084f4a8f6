"""The folder that a job writes to: who is at work there, and files that appear whole."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from serving_min.errors import BatchError

LOCK_FILE, PARTIAL = ".lock", ".partial"


class Lock:
    """On ``out``, which is made if it is not there; held until the process ends, however it does, or ``release``.

    Whoever begins is alone; the processes of one job then hold it together, so that nobody begins before the last of
    them is gone. Raises BatchError when others hold it, or the folder cannot be made.
    """

    def __init__(self, out: Path, *, alone: bool = True) -> None:
        self.out = out
        try:
            out.mkdir(parents=True, exist_ok=True)
            self._file = (out / LOCK_FILE).open("ab")
            self._take(fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        except OSError as error:
            raise BatchError(f"out: {out} cannot be written to: {error.strerror}; give another folder") from error

    def share(self) -> None:
        """Let others in that want it together."""
        self._take(fcntl.LOCK_SH)

    def release(self) -> None:
        self._file.close()

    def _take(self, how: int) -> None:
        try:
            fcntl.flock(self._file, how | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.release()
            raise BatchError(f"out: another job is at work in {self.out}; wait, or give another folder") from error


@contextmanager
def alone(out: Path) -> Iterator[Lock]:
    """Hold the folder; what killed processes left half-written is gone."""
    lock = Lock(out)
    try:
        for leftover in out.glob(f".*{PARTIAL}"):
            leftover.unlink()
        yield lock
    finally:
        lock.release()


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to, of this process alone; it becomes ``path`` when the block ends well.

    Raises BatchError when it cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        yield partial
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(path)
    except OSError as error:
        raise BatchError(f"out: {path}: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
