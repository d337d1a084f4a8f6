"""What finished segments hold of one user: to be handed over, or taken out."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from serving_min.sinks.segments import OPEN, alone, finished
from serving_min.sinks.upload import Upload


class _Owned(msgspec.Struct):
    user: str


_owner = msgspec.json.Decoder(_Owned).decode


def lines_of(content: bytes, suffix: str, user: str) -> list[dict[str, Any]]:
    """The user's lines in a segment, which is JSON lines or Parquet as its ``suffix`` says."""
    if suffix == ".parquet":
        table, mine = _table(content, user)
        return [] if mine is None else table.filter(mine).to_pylist()
    return [msgspec.json.decode(line) for line in _json_lines(content, user)]


def without(content: bytes, suffix: str, user: str) -> tuple[bytes, int]:
    """A segment without the user's lines, and how many those were; empty where no line is left."""
    if suffix == ".parquet":
        return _parquet_without(content, user)
    mine = set(_json_lines(content, user))
    kept = [line for line in content.splitlines(keepends=True) if line.rstrip(b"\n") not in mine]
    return b"".join(kept), content.count(b"\n") - len(kept)


class Personal:
    """The segments in ``folder``, and those that ``upload`` brought to a store. Its methods take long: not for an event
    loop."""

    def __init__(self, folder: Path, upload: Upload | None = None) -> None:
        self.folder, self.upload = folder, upload

    def find(self, user: str) -> dict[str, list[dict[str, Any]]]:
        """The user's lines by stream."""
        found: dict[str, list[dict[str, Any]]] = {}
        for stream, suffix, read, _ in self._segments():
            found.setdefault(stream, []).extend(lines_of(read(), suffix, user))
        return found

    def remove(self, user: str) -> int:
        """Write each segment that has lines of the user anew, whole, without them; how many lines those were."""
        removed = 0
        for _, suffix, read, write in self._segments():
            content, count = without(read(), suffix, user)
            if count:
                write(content)
                removed += count
        return removed

    def open(self) -> set[Path]:
        """The segments that somebody is writing."""
        return {*self.folder.glob(f"*/date=*/.*{OPEN}")}

    def _segments(self) -> Iterator[tuple[str, str, Callable[[], bytes], Callable[[bytes], None]]]:
        """Each with its stream, its suffix, how to read and how to replace it. None is uploaded meanwhile."""
        with alone(self.folder):
            yield from _local(self.folder)
            if self.upload is not None:
                for path in self.upload.uploaded():
                    yield path.split("/")[-3], Path(path).suffix, *self.upload.access(path)


def _local(folder: Path) -> Iterator[tuple[str, str, Callable[[], bytes], Callable[[bytes], None]]]:
    for path in finished(folder):
        yield path.parent.parent.name, path.suffix, path.read_bytes, partial(_replace, path)


def _replace(path: Path, content: bytes) -> None:
    if not content:
        path.unlink()
        return
    beside = path.with_name(f".{path.name}.part")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)


def _json_lines(content: bytes, user: str) -> list[bytes]:
    needle = msgspec.json.encode(user)  # as the sink wrote it; few segments have it, fewer lines
    if needle not in content:
        return []
    return [line for line in content.splitlines() if needle in line and _owner(line).user == user]


def _table(content: bytes, user: str) -> tuple[Any, Any]:
    import pyarrow.compute
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(io.BytesIO(content))
    mine = pyarrow.compute.equal(table["user"], user)
    return table, mine if pyarrow.compute.any(mine).as_py() else None


def _parquet_without(content: bytes, user: str) -> tuple[bytes, int]:
    import pyarrow.compute
    import pyarrow.parquet

    table, mine = _table(content, user)
    if mine is None:
        return content, 0
    kept = table.filter(pyarrow.compute.invert(mine))
    written = io.BytesIO()
    if len(kept):
        pyarrow.parquet.write_table(kept, written, compression="zstd")
    return written.getvalue(), len(table) - len(kept)
