"""OTTO: sessions of a German shop as JSON lines, ``{session, events: [{aid, ts, type}]}``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from recsys_lab.data import columns
from recsys_lab.data.sources.base import Source, sql_literal
from recsys_lab.data.sources.json_lines import first_object, json_relation
from recsys_lab.data.sources.known_names import column_named
from recsys_lab.data.sources.tables import create_table, epoch_seconds, files_at, text_id
from recsys_lab.errors import SchemaError

if TYPE_CHECKING:
    import duckdb

FIELDS = {"session": "VARCHAR", "events": 'STRUCT(aid VARCHAR, ts VARCHAR, "type" VARCHAR)[]'}
EVENTS = {"clicks": "click", "carts": "cart", "orders": "purchase"}


class Otto(Source):
    """Clicks, carts and orders as click, cart and purchase.

    The data know no customers, only sessions of up to weeks: one is both the user and the session.
    ``ts`` is in milliseconds; events of one second keep the order of the file. There is no catalogue.
    ``path`` is a file, or a folder of which every .jsonl is read.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = path

    def files(self) -> list[Path]:
        return files_at(self.path, (".jsonl", ".jsonl.gz", ".jsonl.zst"))

    def load(self, connection: duckdb.DuckDBPyConnection) -> None:
        files = self.files()
        for file in files:
            _check_fields(file)
        exploded = f"SELECT session, unnest(events) AS event FROM {json_relation(files, FIELDS)}"
        kinds = " ".join(f"WHEN {sql_literal(name)} THEN {sql_literal(kind)}" for name, kind in EVENTS.items())
        expressions = {
            columns.USER: text_id("session"),
            columns.ITEM: text_id("event.aid"),
            columns.TIME: epoch_seconds("event.ts"),
            columns.EVENT: f"CASE event.type {kinds} ELSE event.type END",
            columns.SESSION: text_id("session"),
        }
        create_table(connection, "raw_events", f"({exploded})", expressions, path=files[0], times_from="event.ts")


def _check_fields(path: Path) -> None:
    session = first_object(path)
    for name in FIELDS:
        column_named(session, [name], path=path)
    events = session["events"]
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
        raise SchemaError(f"{path}: 'events' in line 1 is no list of objects with aid, ts and type")
    for name in ("aid", "ts", "type") if events else ():
        column_named(events[0], [name], path=path)
