"""Nested columns of Arrow as Python's own objects."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate, pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


def values(array: pa.Array) -> list[Any]:
    """Lists become lists, structs and maps become dicts without their nulls; a null struct is an empty one.

    Each child is read as a whole: ``to_pylist``, which makes an Arrow scalar of every row and of all that is in it,
    takes several times as long for histories of events.
    """
    kind = array.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _cut(values(array.flatten()), array)
    if pa.types.is_struct(kind):
        names = [field.name for field in kind]
        children = [values(child) for child in array.flatten()]
        return [_given(zip(names, row, strict=True)) for row in zip(*children, strict=True)]
    if pa.types.is_map(kind):
        return [None if pairs is None else _given(pairs) for pairs in array.to_pylist()]
    return list(array.to_pylist())


def _given(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in pairs if value is not None}


def _cut(entries: list[Any], lists: pa.Array) -> list[list[Any] | None]:
    """The entries of all ``lists``, list by list; None for a list that is null."""
    lengths = pc.list_value_length(lists).to_pylist()
    ends = accumulate((length or 0 for length in lengths), initial=0)
    parts = (entries[start:end] for start, end in pairwise(ends))
    return [None if length is None else part for length, part in zip(lengths, parts, strict=True)]
