"""The file of all changes, one JSON line each, from which a restart knows what was said before."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import BinaryIO

import msgspec

from serving_min.assortment.changes import Changes
from serving_min.errors import StartError

_decode_lines = msgspec.json.Decoder(Changes).decode_lines


class Journal:
    """Processes may share the file: each reads on where it stopped. Without a ``path`` nothing is kept."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._read = 0  # bytes
        self._last = b""  # the line before them, by which the file is known again

    def news(self) -> list[Changes]:
        """What was written since the last call, or all that there is in another file than before. Raises StartError
        for a file that is none."""
        if self.path is None or not self.path.exists():
            return []
        with self.path.open("rb") as file:
            lines = self._unread(file)
        news: list[Changes] = []
        for number, line in enumerate(lines, start=1):
            try:
                news += _decode_lines(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                number += self.path.read_bytes()[: self._read].count(b"\n")
                raise StartError(f"items: {self.path}: line {number}: {error}; remove the line, or the file") from error
        self._heard(lines)
        return news

    def append(self, changes: Changes) -> None:
        """It is on disk when this returns. ``news`` tells it again only if others have written something before it, so
        that the last word is the same for all."""
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = msgspec.json.encode(changes) + b"\n"
        with self.path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            lines = self._unread(file)
            file.truncate(self._read + sum(map(len, lines)))  # what a process that was killed left half-written
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        if not lines:
            self._heard([line])

    def _unread(self, file: BinaryIO) -> list[bytes]:
        """Whole lines: one without an end was never said."""
        file.seek(self._read - len(self._last))
        if file.read(len(self._last)) != self._last:  # it was removed, and this is another one
            self._read, self._last = 0, b""
            file.seek(0)
        return [line for line in file if line.endswith(b"\n")]

    def _heard(self, lines: list[bytes]) -> None:
        self._read += sum(map(len, lines))
        self._last = lines[-1] if lines else self._last
