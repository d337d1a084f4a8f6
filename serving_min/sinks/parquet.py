"""A finished segment as Parquet: a tenth of the size, and typed."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.json
import pyarrow.parquet

EVENTS = pa.schema(
    [
        *((name, pa.string()) for name in ("id", "user", "item", "event")),
        *((name, pa.int64()) for name in ("time", "received")),
        *((name, pa.string()) for name in ("surface", "request_id")),
        ("position", pa.int32()),
    ]
)
SHOWN = pa.struct(
    [
        ("item", pa.string()),
        ("position", pa.int32()),
        ("score", pa.float64()),
        ("propensity", pa.float64()),
        ("reason", pa.string()),
    ]
)
CANDIDATE = pa.struct([("item", pa.string()), ("score", pa.float64())])
ANSWERS = pa.schema(
    [
        *((name, pa.string()) for name in ("request_id", "user", "surface", "model", "version")),
        *((name, pa.int64()) for name in ("now", "history")),
        ("shown", pa.list_(SHOWN)),
        ("candidates", pa.list_(CANDIDATE)),
        ("fallback", pa.string()),
    ]
)
SCHEMAS = {"events": EVENTS, "answers": ANSWERS}


def write_parquet(lines: Path, final: Path) -> None:
    """The JSON lines of a segment as ``final``, which appears whole or not at all. The folder above ``date=…`` names
    the stream. Raises what Arrow raises for lines that do not fit, and OSError."""
    schema = SCHEMAS[final.parent.parent.name]
    options = pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
    blocks = pyarrow.json.ReadOptions(block_size=16 << 20)  # no line may be longer than one
    table = pyarrow.json.read_json(lines, read_options=blocks, parse_options=options).select(schema.names)
    beside = final.with_name(f".{final.name}.part")
    try:
        with beside.open("wb") as file:
            pyarrow.parquet.write_table(table, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        beside.rename(final)
    finally:
        beside.unlink(missing_ok=True)
