"""The file of all changes, one JSON line each, from which a restart knows what was said before."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from serving_min.assortment.changes import Changes
from serving_min.errors import StartError


class Journal:
    """Processes may share the file: each reads on where it stopped. Without a ``path`` nothing is kept."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._read = 0  # bytes

    def news(self) -> list[Changes]:
        """What was written since the last call. Raises StartError for a file that is none."""
        if self.path is None or not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self._read)
            written = file.read()
        whole = written[: written.rfind(b"\n") + 1]  # a line without an end was never said
        try:
            news = msgspec.json.Decoder(Changes).decode_lines(whole)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StartError(f"items: {self.path}: {error}; remove the line, or the file") from error
        self._read += len(whole)
        return news

    def append(self, changes: Changes) -> None:
        """It is on disk when this returns; ``news`` will not tell it again. Call ``news`` right before."""
        if self.path is None:
            return
        with self._alone(self.path) as file:
            end = os.lseek(file, self._read, os.SEEK_SET)
            os.truncate(file, end)  # what a process that was killed left half-written
            line = msgspec.json.encode(changes) + b"\n"
            os.write(file, line)
            os.fsync(file)
            self._read = end + len(line)

    @contextmanager
    def _alone(self, path: Path) -> Iterator[int]:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(file)
