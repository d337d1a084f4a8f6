"""A column of texts that is read where it lies: ten million ids need not become Python objects."""

from __future__ import annotations

import os
from pathlib import Path
from struct import Struct
from weakref import finalize

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

LARGE = 1 << 26  # bytes of texts beyond which those that were read should not stay in memory
SPAN = Struct("<ii")  # where a text begins and ends


class Texts:
    """The rows of an Arrow string column that ``one_piece`` gave."""

    def __init__(self, column: pa.Array) -> None:
        self.column = column  # owns the memory
        _, offsets, data = column.buffers()
        self._offsets = memoryview(offsets).cast("B").cast("i") if offsets is not None else memoryview(b"")
        self._data = memoryview(data).cast("B") if data is not None else memoryview(b"")
        self._known = None if column.null_count == 0 else valid(column)

    def __len__(self) -> int:
        return len(self.column)

    def __getitem__(self, row: int) -> str | None:
        if self._known is not None and not self._known[row]:
            return None
        return self.at(row)

    def at(self, row: int) -> str:
        """The text of a row that is not null."""
        return str(self._data[self._offsets[row] : self._offsets[row + 1]], "utf-8")

    @property
    def first_null(self) -> int | None:
        """The first row without a text, if there is one."""
        return None if self._known is None else int(np.argmin(self._known))

    def is_at(self, row: int, text: bytes) -> bool:
        """Whether the row holds this text, in UTF-8."""
        return self._data[self._offsets[row] : self._offsets[row + 1]].tobytes() == text


class UnmappedTexts(Texts):
    """Texts of a mapped file that are read from the file itself.

    A page of the map stays in memory once it was looked at, and a few thousand lists of ten million items look at all.
    """

    def __init__(self, column: pa.Array, path: Path, start: int) -> None:
        """``start`` is the address at which the file is mapped."""
        super().__init__(column)
        _, offsets, data = column.buffers()
        self._offsets_at, self._data_at = offsets.address - start, data.address - start
        self._file = os.open(path, os.O_RDONLY)
        finalize(self, os.close, self._file)

    def at(self, row: int) -> str:
        begin, end = SPAN.unpack(os.pread(self._file, SPAN.size, self._offsets_at + row * SPAN.size // 2))
        return os.pread(self._file, end - begin, self._data_at + begin).decode()

    @classmethod
    def or_mapped(cls, column: pa.Array, path: Path, mapped: pa.Buffer) -> Texts:
        """So, if there are enough of them in the file mapped, and the system can; else where they lie."""
        parts = [part for part in column.buffers()[1:] if part is not None]
        inside = all(mapped.address <= part.address <= mapped.address + mapped.size - part.size for part in parts)
        large = len(parts) == 2 and sum(part.size for part in parts) >= LARGE
        return cls(column, path, mapped.address) if inside and large and hasattr(os, "pread") else Texts(column)


def one_piece(column: pa.ChunkedArray) -> pa.Array:
    """The column as one array from row 0 on: as it lies, if it lies so."""
    chunks = column.chunks
    if len(chunks) == 1 and chunks[0].offset == 0:
        return chunks[0]
    return pa.concat_arrays([*chunks, pa.array([], column.type)])


def valid(column: pa.Array) -> NDArray[np.bool_]:
    """Which rows are not null."""
    bits = column.buffers()[0]
    if bits is None:
        return np.ones(len(column), np.bool_)
    return np.unpackbits(np.frombuffer(bits, np.uint8), count=len(column), bitorder="little").astype(np.bool_)
