"""A column of texts that is read where it lies: ten million ids need not become Python objects."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


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
