"""A source of literal rows, so that a test's input stands in the test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from recsys_lab.data.cleaning import Cleaning
from recsys_lab.data.dataset import Dataset
from recsys_lab.data.prepare import prepare
from recsys_lab.data.sources.base import Source
from recsys_lab.data.step import Step

NAMES = ["user_id", "item_id", "timestamp", "event", "value", "session_id", "basket_id"]


class Rows(Source):
    """``events`` are tuples in the order of ``NAMES``; trailing columns may be left out."""

    def __init__(
        self,
        events: Sequence[tuple[Any, ...]],
        items: pd.DataFrame | None = None,
        users: pd.DataFrame | None = None,
        own_steps: Sequence[Step] = (),
    ) -> None:
        self.events = events
        self.items = items
        self.users = users
        self.own_steps = own_steps

    def files(self) -> list[Path]:
        return []

    def steps(self) -> list[Step]:
        return list(self.own_steps)

    def load(self, connection: duckdb.DuckDBPyConnection) -> None:
        width = max(map(len, self.events), default=3)
        types = ["VARCHAR", "VARCHAR", "BIGINT", "VARCHAR", "DOUBLE", "VARCHAR", "VARCHAR"]
        listed = ", ".join(f"{name} {kind}" for name, kind in zip(NAMES[:width], types[:width], strict=True))
        connection.execute(f"CREATE TABLE raw_events (row_id BIGINT, {listed})")
        rows = [[row_id, *event, *[None] * (width - len(event))] for row_id, event in enumerate(self.events)]
        if rows:
            marks = ", ".join([f"({', '.join('?' * (width + 1))})"] * len(rows))
            connection.execute(f"INSERT INTO raw_events VALUES {marks}", [value for row in rows for value in row])
        for table, frame in (("raw_items", self.items), ("raw_users", self.users)):
            if frame is not None:
                connection.register("frame", frame)
                connection.execute(f"CREATE TABLE {table} AS SELECT * FROM frame")


def prepared(folder: Path, events: Sequence[tuple[Any, ...]], cleaning: Cleaning | None = None, **more: Any) -> Dataset:
    return prepare(Rows(events, **more), cleaning, root=folder, threads=1)


def table(dataset: Dataset, *fields: str) -> list[tuple[Any, ...]]:
    """The log with ids for codes: (user, item, time), and the arrays named in ``fields``."""
    log = dataset.log
    listed = [dataset.user_ids[log.users], dataset.catalogue.ids[log.items], log.times]
    listed += [getattr(log, field) for field in fields]
    return [tuple(row) for row in zip(*(column.tolist() for column in listed), strict=True)]
