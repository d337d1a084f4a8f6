"""What the tests of all sources share: files packed in each way, and tables as plain rows."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from recsys_lab.data.engine import connect
from recsys_lab.data.sources.base import Source

PACK: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress}


def write(path: Path, text: str, *, packing: str = "", encoding: str = "utf-8") -> Path:
    """The text in a file of that name, packed: ``a.csv`` becomes ``a.csv.gz``."""
    packed = path.with_name(path.name + packing)
    packed.write_bytes(PACK[packing](text.encode(encoding)))
    return packed


class Loaded:
    """A source's raw tables, after its own steps as ``events``."""

    def __init__(self, source: Source) -> None:
        self.connection = connect()
        source.load(self.connection)
        self.connection.execute("CREATE TABLE events AS SELECT * FROM raw_events")
        self.dropped: dict[str, int] = {}
        for step in source.steps():
            before = self.count("events")
            self.connection.execute(f"CREATE OR REPLACE TABLE {step.table} AS {step.sql}")
            self.dropped[step.name] = before - self.count("events")

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql).fetchall()

    def count(self, table: str) -> int:
        return int(self.query(f"SELECT count(*) FROM {table}")[0][0])

    def events(self, columns: str = "user_id, item_id, timestamp, event, value") -> list[tuple[Any, ...]]:
        return self.query(f"SELECT {columns} FROM events ORDER BY row_id")

    def items(self, columns: str) -> list[tuple[Any, ...]]:
        return self.query(f"SELECT {columns} FROM raw_items ORDER BY item_id")

    def users(self, columns: str) -> list[tuple[Any, ...]]:
        return self.query(f"SELECT {columns} FROM raw_users ORDER BY user_id")

    def tables(self) -> set[str]:
        return {name for (name,) in self.query("SELECT table_name FROM duckdb_tables()")}


def real_data(folder: str) -> Path:
    """A folder of real data, which lies beside the repository; the test is skipped where it does not."""
    path = Path(__file__).resolve().parents[4] / "shared/data" / folder
    if not path.is_dir():
        pytest.skip(f"the real data {folder} are not beside the repository (shared/data/{folder})")
    return path
