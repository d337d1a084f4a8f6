"""What finished segments hold of one user: to be handed over, or taken out."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from serving_min.sinks.segments import OPEN, alone, finished, whole_lines
from serving_min.sinks.upload import Upload


class _Owned(msgspec.Struct):
    user: str


_owner = msgspec.json.Decoder(_Owned).decode


def lines_of(content: bytes, suffix: str, user: str) -> list[dict[str, Any]]:
    """The user's lines in a segment, which is JSON lines or Parquet as its ``suffix`` says."""
    if suffix == ".parquet":
        table, mine = _table(content, user)
        return [] if mine is None else table.filter(mine).to_pylist()
    return [_decoded(line) for line in _json_lines(content, user)]


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
        """The user's lines by stream, with those that other processes are still writing."""
        found: dict[str, list[dict[str, Any]]] = {}
        begun = self._begun(user)  # first: one that is finished meanwhile is left out below
        for path, read, _ in self._segments():
            if path.stem not in begun:
                found.setdefault(_stream(path), []).extend(lines_of(read(), path.suffix, user))
        for path, lines in begun.values():
            found.setdefault(_stream(path), []).extend(lines)
        return found

    def remove(self, user: str) -> int:
        """Write each segment that has lines of the user anew, whole, without them; how many lines those were."""
        removed = 0
        for path, read, write in self._segments():
            content, count = without(read(), path.suffix, user)
            if count:
                write(content)
                removed += count
        return removed

    def open(self) -> set[Path]:
        """The segments that somebody is writing."""
        return {*self.folder.glob(f"*/date=*/.*{OPEN}")}

    def _begun(self, user: str) -> dict[str, tuple[Path, list[dict[str, Any]]]]:
        """The user's lines in open segments, by the name that these will have."""
        begun = {}
        for path in sorted(self.open()):
            with suppress(FileNotFoundError):  # it has its name by now
                lines = lines_of(whole_lines(path), ".jsonl", user)
                begun[path.name.removeprefix(".").removesuffix(f".jsonl{OPEN}")] = path, lines
        return begun

    def _segments(self) -> Iterator[tuple[Path, Callable[[], bytes], Callable[[bytes], None]]]:
        """Each with how to read and how to replace it. None is uploaded meanwhile."""
        with alone(self.folder):
            for path in finished(self.folder):
                yield path, path.read_bytes, partial(_replace, path)
            if self.upload is not None:
                for there in self.upload.uploaded():
                    yield Path(there), *self.upload.access(there)


def _stream(path: Path) -> str:
    return path.parent.parent.name


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
    return [line for line in content.splitlines() if needle in line and _may_be_of(line, user)]


def _may_be_of(line: bytes, user: str) -> bool:
    """A damaged line that names the user may be theirs."""
    try:
        return _owner(line).user == user
    except (msgspec.DecodeError, UnicodeDecodeError):
        return True


def _decoded(line: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {"damaged": line.decode(errors="replace")}


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
