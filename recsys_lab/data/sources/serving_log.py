"""What the server wrote down: events to train on, and what it showed with which probability."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from recsys_lab.data import columns
from recsys_lab.data.engine import connect
from recsys_lab.data.sources.base import Source, existing
from recsys_lab.data.sources.json_lines import json_relation
from recsys_lab.data.sources.snapshot import Snapshot
from recsys_lab.data.sources.tables import create_items, create_table, parquet_relation, reason, text_id
from recsys_lab.data.step import Step
from recsys_lab.errors import SourceError

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

EVENTS = {"id": "VARCHAR", "user": "VARCHAR", "item": "VARCHAR", "event": "VARCHAR", "time": "BIGINT"}
EVENTS |= {"received": "BIGINT", "surface": "VARCHAR", "request_id": "VARCHAR", "position": "INTEGER"}
SHOWN = 'STRUCT(item VARCHAR, "position" INTEGER, score DOUBLE, propensity DOUBLE, reason VARCHAR)[]'
ANSWERS = {"request_id": "VARCHAR", "user": "VARCHAR", "surface": "VARCHAR", "model": "VARCHAR", "version": "VARCHAR"}
ANSWERS |= {"now": "BIGINT", "history": "BIGINT", "shown": SHOWN}
ANSWERS |= {"candidates": "STRUCT(item VARCHAR, score DOUBLE)[]", "fallback": "VARCHAR"}
NOT_LIKED = ("impression", "dismiss")


class ServingLog(Source):
    """``path`` is the folder that ``serving_min`` logs to, a copy of it, or the URL of the store that segments are
    uploaded to, in JSON lines, Parquet or both.

    A segment that is still being written counts up to its last whole line; what is written after a source has looked
    is for the next one. Events that came twice, by their id, count once, as they came first; impressions and dismissals
    are no signs of liking and stay out. ``items_path`` is the shop's catalogue as Parquet. ``impressions.parquet``
    and ``candidates.parquet`` beside the prepared log hold what the functions of these names return.
    """

    reading = 2

    def __init__(self, path: str | Path | None = None, items_path: str | Path | None = None) -> None:
        self.path = path
        self.items_path = items_path
        self._taken: Snapshot | None = None

    @property
    def _snapshot(self) -> Snapshot:
        if self._taken is None:
            log = Snapshot(self.path)
            if not log.stream("events"):
                where = f"{self.path}/events"
                raise SourceError(f"data.path: no segment in {where}; give the server's log.folder or log.url")
            self._taken = log
        return self._taken

    def files(self) -> list[Path]:
        items = [] if self.items_path is None else [existing(self.items_path, argument="data.items_path")]
        return [*self._snapshot.stream("events"), *self._snapshot.stream("answers"), *items]

    def load(self, connection: duckdb.DuckDBPyConnection) -> None:
        expressions = {
            columns.USER: text_id('"user"'),
            columns.ITEM: text_id("item"),
            columns.TIME: '"time"',
            columns.EVENT: "event",
            "event_id": "id",
            "received": "received",
        }
        relation = _relation(self._snapshot, "events", EVENTS)
        create_table(connection, "raw_events", relation, expressions, path=str(self.path))
        if self.items_path is not None:
            path = existing(self.items_path, argument="data.items_path")
            create_items(connection, parquet_relation(path), path=path)

    def steps(self) -> list[Step]:
        order = "row_number() OVER (PARTITION BY event_id ORDER BY received, row_id) AS copy"
        kinds = ", ".join(f"'{kind}'" for kind in NOT_LIKED)
        return [
            Step(
                "events that came twice",
                f"SELECT * FROM (SELECT *, {order} FROM events) AS copies WHERE copy = 1",
                "their id had come before: senders repeat what was not acknowledged",
                scope="past",
            ),
            Step(
                "impressions and dismissals",
                f"SELECT * FROM events WHERE event NOT IN ({kinds})",
                "they do not say that the user likes the item",
            ),
        ]

    def extras(self, folder: Path) -> None:
        _impressions(self._snapshot).to_parquet(folder / "impressions.parquet", index=False)
        _candidates(self._snapshot).to_parquet(folder / "candidates.parquet", index=False)


def impressions(path: str | Path) -> pd.DataFrame:
    """What was shown by the log at ``path``, a row for each place of each answer, in order of time.

    Columns: request_id, user_id, timestamp (epoch seconds), surface, position (from 1), item_id, score, propensity
    (the probability with which the policy puts the item there), model, version, fallback (why the surface's retrievers
    could not speak, if so), and clicked: whether a click event names this request and item. Raises SourceError.
    """
    return _impressions(Snapshot(path))


def candidates(path: str | Path) -> pd.DataFrame:
    """What could have been shown, a row for each item of each answer that the log has a score of, in order of time.

    Columns: request_id, timestamp, item_id, score. Raises SourceError.
    """
    return _candidates(Snapshot(path))


def _impressions(log: Snapshot) -> pd.DataFrame:
    return _asked(
        log,
        f"""
        WITH places AS (SELECT *, unnest(shown) AS place FROM {_relation(log, "answers", ANSWERS)}),
             clicks AS (SELECT DISTINCT request_id, item FROM {_relation(log, "events", EVENTS)} WHERE event = 'click')
        SELECT places.request_id, "user" AS user_id, "now" AS timestamp, surface, place.position AS position,
               place.item AS item_id, place.score AS score, place.propensity AS propensity, model, version,
               fallback, clicks.item IS NOT NULL AS clicked
        FROM places LEFT JOIN clicks ON clicks.request_id = places.request_id AND clicks.item = place.item
        ORDER BY timestamp, places.request_id, position, item_id
        """,
    )


def _candidates(log: Snapshot) -> pd.DataFrame:
    return _asked(
        log,
        f"""
        WITH found AS (SELECT request_id, "now", unnest(candidates) AS one FROM {_relation(log, "answers", ANSWERS)})
        SELECT request_id, "now" AS timestamp, one.item AS item_id, one.score AS score FROM found
        ORDER BY timestamp, request_id, score DESC, item_id
        """,
    )


def _asked(log: Snapshot, query: str) -> pd.DataFrame:
    import duckdb

    try:
        with connect() as connection:
            return connection.execute(query).fetch_df()
    except duckdb.Error as error:
        raise SourceError(f"{log.path}: cannot be read: {reason(error)}") from error


def _relation(log: Snapshot, stream: str, fields: dict[str, str]) -> str:
    """All rows of a stream, in whichever formats its segments are."""
    packed = [file for file in log.stream(stream) if file.suffix == ".parquet"]
    lines = [file for file in log.stream(stream) if file.suffix == ".jsonl"]
    tables = [parquet_relation(packed)] if packed else []
    tables += [json_relation(lines, fields)] if lines else []
    names = ", ".join(f'"{name}"' for name in fields)
    selected = " UNION ALL ".join(f"SELECT {names} FROM {table}" for table in tables)
    nothing = ", ".join(f'CAST(NULL AS {kind}) AS "{name}"' for name, kind in fields.items())
    return f"({selected or f'SELECT {nothing} WHERE false'}) AS segments"
