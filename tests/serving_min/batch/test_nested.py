"""Columns as Python's own objects, whatever is nested in them and wherever something is missing."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from serving_min.batch.nested import values

TEXT, EVENT = pa.string(), pa.struct([("item", pa.string()), ("time", pa.int64())])


@pytest.mark.parametrize(
    ("kind", "rows", "expected"),
    [
        (TEXT, ["A", None], ["A", None]),
        (pa.list_(TEXT), [["A", "B"], None, [], ["C", None]], [["A", "B"], None, [], ["C", None]]),
        (EVENT, [{"item": "A", "time": 3}, {"item": "B"}, None], [{"item": "A", "time": 3}, {"item": "B"}, {}]),
        (
            pa.large_list(EVENT),
            [[{"item": "A"}], [], None, [{"item": "B", "time": 1}, {"item": "C"}]],
            [[{"item": "A"}], [], None, [{"item": "B", "time": 1}, {"item": "C"}]],
        ),
        (pa.map_(TEXT, TEXT), [[("country", "UK"), ("age", None)], None, []], [{"country": "UK"}, None, {}]),
        (pa.list_(pa.list_(TEXT)), [[["A"], []], [["B", "C"]]], [[["A"], []], [["B", "C"]]]),
    ],
)
def test_what_is_nested(kind: pa.DataType, rows: list[Any], expected: list[Any]) -> None:
    array = pa.array(rows, kind)
    assert values(array) == expected
    assert values(array[1:]) == expected[1:]  # a slice shares its children with the whole
