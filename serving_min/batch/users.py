"""Who gets a list: users and their histories, from Parquet or JSON lines."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Meta, Struct

from serving_min.batch.nested import values
from serving_min.errors import BatchError
from serving_min.messages import MOST_EVENTS, Event, ItemId, UserId

Row = TypeVar("Row", bound="Who")
READABLE = (".parquet", ".jsonl")


class Who(Struct, frozen=True):
    user_id: UserId


class User(Who, frozen=True):
    """A row or line; only ``user_id`` must be there, further columns are ignored. ``history`` is oldest first, ``user``
    gives attributes by name, ``exclude`` what this user must not get."""

    history: Annotated[list[ItemId | Event], Meta(max_length=MOST_EVENTS)] = []
    user: dict[str, str] = {}
    exclude: list[ItemId] = []


@dataclass(frozen=True)
class Users:
    """A ``.parquet`` or ``.jsonl`` file, or a folder of them in the order of their names."""

    path: Path

    @cached_property
    def files(self) -> list[Path]:
        """Raises BatchError when there is nothing to read."""
        found = sorted(self.path.iterdir()) if self.path.is_dir() else [self.path]
        files = [file for file in found if file.suffix in READABLE and file.is_file()]
        if not files:
            raise BatchError(f"users: {self.path} is no {' or '.join(READABLE)} file, and no folder with some")
        return files

    @cached_property
    def counts(self) -> list[int]:
        """How many users each file has."""
        return [_count(file) for file in self.files]

    def __len__(self) -> int:
        return sum(self.counts)

    def fingerprint(self) -> str:
        """sha256 of all the files."""
        digest = hashlib.sha256()
        for file in self.files:
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
        return digest.hexdigest()

    def check(self) -> None:
        """Raises BatchError when a user stands there twice, who would get two mails, and for a row that is nobody."""
        seen: set[str] = set()
        for file, number, row in self._read(Who, 0, len(self)):
            if row.user_id in seen:
                again = f"{row.user_id!r} stands there before; keep one row of each"
                raise BatchError(f"users: {file}, user {number}: {again}")
            seen.add(row.user_id)

    def rows(self, start: int, stop: int) -> Iterator[User]:
        """The users from number ``start`` to before ``stop``. Raises BatchError for a row that is none."""
        return (row for _, _, row in self._read(User, start, stop))

    def _read(self, kind: type[Row], start: int, stop: int) -> Iterator[tuple[Path, int, Row]]:
        """Rows, with the file that they come from and their number in it, from 1."""
        first = 0
        for file, count in zip(self.files, self.counts, strict=True):
            low, high = max(start - first, 0), min(stop - first, count)
            if low < high:
                for number, row in enumerate(_rows(file, kind, low, high), start=low + 1):
                    try:
                        yield file, number, msgspec.convert(row, kind)
                    except msgspec.ValidationError as error:
                        raise BatchError(f"users: {file}, user {number}: {error}") from error
            first += count


def _count(file: Path) -> int:
    try:
        if file.suffix == ".parquet":
            with pq.ParquetFile(file) as opened:
                _must_know_users(file, opened.schema_arrow.names)
                return int(opened.metadata.num_rows)
        with file.open("rb") as lines:
            return sum(1 for _ in lines)
    except (OSError, pa.ArrowException) as error:
        raise BatchError(f"users: {file}: {error}") from error


def _must_know_users(file: Path, columns: list[str]) -> None:
    if "user_id" not in columns:
        there, read = (", ".join(names) or "none" for names in (columns, User.__struct_fields__))
        raise BatchError(f"users: {file} has no column 'user_id', but {there}; the columns that are read are {read}")


def _rows(file: Path, kind: type[Who], start: int, stop: int) -> Iterator[dict[str, Any]]:
    if file.suffix == ".parquet":
        yield from _parquet_rows(file, kind, start, stop)
        return
    with file.open("rb") as lines:
        for number, line in enumerate(islice(lines, start, stop), start=start + 1):
            if line.isspace():
                raise BatchError(f"users: {file}, line {number}: is blank; a line is a user")
            try:
                yield msgspec.json.decode(line)
            except (UnicodeDecodeError, msgspec.DecodeError) as error:
                raise BatchError(f"users: {file}, line {number}: {error}") from error


def _parquet_rows(file: Path, kind: type[Who], start: int, stop: int) -> Iterator[dict[str, Any]]:
    """Only the row groups that hold some of them are read. Nulls count as not given."""
    with pq.ParquetFile(file) as opened:
        columns = [name for name in kind.__struct_fields__ if name in opened.schema_arrow.names]
        first = 0
        for group in range(opened.num_row_groups):
            count = opened.metadata.row_group(group).num_rows
            low, high = max(start - first, 0), min(stop - first, count)
            if low < high:
                table = opened.read_row_group(group, columns=columns).slice(low, high - low)
                for batch in table.to_batches():
                    yield from values(batch.to_struct_array())
            first += count
