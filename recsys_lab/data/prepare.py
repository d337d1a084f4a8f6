"""Raw events to a prepared data set: run the source, then the steps, and count the rows.

The finished folder is named after the fingerprint of everything that went in, so the same data
and settings are prepared once; a folder without its final name is never read.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from recsys_lab.atomic import whole_folder
from recsys_lab.data import columns
from recsys_lab.data.cleaning import Cleaning
from recsys_lab.data.dataset import Dataset, describe_folder
from recsys_lab.data.engine import connect
from recsys_lab.data.lineage import Lineage
from recsys_lab.data.runner import Progress, StepRunner
from recsys_lab.data.sources.base import Source, sql_literal
from recsys_lab.data.steps import (
    USER_AGGREGATES,
    Attributes,
    core_steps,
    entity_steps,
    filter_steps,
    key_steps,
    log_steps,
)
from recsys_lab.errors import ConfigError, DataError, EmptyDataError, SchemaError

if TYPE_CHECKING:
    import duckdb

VERSION = 2  # of the steps: another number prepares again
MOST_VALUES = 1_000  # of a user attribute; one with more is an id or a number, not a category
MOST_NAMED = 20  # event types in one message
MOST_EVENT_TYPES = 127  # their codes are int8


def prepare(
    source: Source,
    cleaning: Cleaning | None = None,
    *,
    root: Path,
    memory_limit: str = "4GB",
    threads: int | None = None,
    progress: Progress = lambda _: None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Dataset:
    """The data set of ``source`` under ``root``, prepared now or earlier.

    ``progress`` is told the name of each step before it runs. ``memory_limit`` bounds the engine;
    what does not fit is spilled to the disk beside the result. Raises SourceError for files that
    cannot be read, SchemaError for missing columns and duplicate ids, ConfigError for event types
    to keep that there are not, and EmptyDataError that names the step where the last rows went.
    """
    cleaning = cleaning or Cleaning()
    fingerprint = data_fingerprint(source, cleaning)
    folder = root / f"{source.name}-{fingerprint[:12]}"
    if not folder.exists():
        try:
            with whole_folder(folder) as partial:
                _write(source, cleaning, fingerprint, partial, memory_limit, threads, progress, clock)
        except FileExistsError:
            if not folder.exists():  # root is a file
                raise
            progress("already prepared by another process")
    return Dataset.load(folder)


def data_fingerprint(source: Source, cleaning: Cleaning) -> str:
    """sha256 over the source with its files, the cleaning and the version of the steps."""
    described = json.dumps([VERSION, source.fingerprint(), asdict(cleaning)], sort_keys=True)
    return hashlib.sha256(described.encode()).hexdigest()


def _write(
    source: Source,
    cleaning: Cleaning,
    fingerprint: str,
    folder: Path,
    memory_limit: str,
    threads: int | None,
    progress: Progress,
    clock: Callable[[], datetime],
) -> None:
    spill = folder / "spill"
    with connect(spill, memory_limit=memory_limit, threads=threads) as connection:
        runner = StepRunner(connection, source.name, progress)
        progress("read the files")
        source.load(connection)
        _check_raw_tables(runner)
        connection.execute("ALTER TABLE raw_events RENAME TO events")
        runner.run(source.steps())
        runner.run(key_steps(cleaning, runner.columns("events")))
        _check_kept(connection, cleaning)
        runner.run(filter_steps(cleaning))
        runner.run(core_steps(cleaning))
        attributes = Attributes(items=runner.columns("raw_items") or None, users=runner.columns("raw_users") or None)
        runner.run(entity_steps(cleaning, attributes))
        has_sessions, has_baskets = _any(connection, "session_id <> ''"), _any(connection, "basket_id <> ''")
        runner.run(log_steps(cleaning, has_sessions=has_sessions, has_baskets=has_baskets))
        progress("write the tables")
        _write_tables(connection, folder)
        source.extras(folder)
        describe_folder(
            folder,
            name=source.name,
            fingerprint=fingerprint,
            order_only=source.order_only,
            event_names=_event_names(connection),
            attribute_names=_attribute_names(runner),
        )
    shutil.rmtree(spill, ignore_errors=True)
    files = {path.name: path.stat().st_size for path in source.files()}
    settings = json.loads(json.dumps(source.settings() | asdict(cleaning), default=str))
    Lineage(source.name, files, settings, tuple(runner.done), clock().isoformat()).save(folder / "lineage.json")


def _check_raw_tables(runner: StepRunner) -> None:
    """Raises SchemaError for a missing column or a duplicate id, EmptyDataError when there is no event."""
    for table, required in (
        ("raw_events", ("row_id", *columns.REQUIRED_EVENT_COLUMNS)),
        ("raw_items", (columns.ITEM,)),
        ("raw_users", (columns.USER,)),
    ):
        found = runner.columns(table)
        for name in required:
            if name not in found and (found or table == "raw_events"):
                raise SchemaError(f"{runner.source}: {table} has no column {name!r}; it has {', '.join(found)}")
        if found and table != "raw_events":
            _check_unique(runner, table, required[0])
    if runner.count("raw_events") == 0:
        raise EmptyDataError(f"{runner.source}: the files hold no event")


def _check_kept(connection: duckdb.DuckDBPyConnection, cleaning: Cleaning) -> None:
    """Raises ConfigError for an event type to keep that no event has: those that were meant would go in silence."""
    there = [name for (name,) in connection.execute("SELECT DISTINCT event FROM events ORDER BY event").fetchall()]
    unknown = [name for name in cleaning.events or () if name not in there]
    if unknown:
        more = f" and {len(there) - MOST_NAMED} more" if len(there) > MOST_NAMED else ""
        raise ConfigError(f"data.cleaning.events: no event {unknown} here; there are {there[:MOST_NAMED]}{more}")


def _check_unique(runner: StepRunner, table: str, key: str) -> None:
    repeated = runner.connection.execute(
        f"SELECT {key}, count(*) FROM {table} WHERE {key} IS NOT NULL GROUP BY {key} HAVING count(*) > 1 ORDER BY {key}"
    ).fetchall()
    if repeated:
        value, copies = repeated[0]
        raise SchemaError(
            f"{runner.source}: {key} {value!r} stands {copies} times in {table}, and so do "
            f"{len(repeated) - 1} other ids; keep one row per id"
        )


def _write_tables(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    import duckdb

    log = (
        f'user_code AS "{columns.USER_CODE}", item_code AS "{columns.ITEM_CODE}", timestamp AS "{columns.TIME}",'
        f' CAST(event_code AS TINYINT) AS "{columns.EVENT_CODE}", value AS "{columns.VALUE}",'
        f' weight AS "{columns.WEIGHT}", session AS "{columns.SESSION_CODE}", basket AS "{columns.BASKET_CODE}"'
    )
    for name, query in (
        ("log", f"SELECT {log} FROM events ORDER BY user_code, timestamp, row_id"),
        ("items", "SELECT * EXCLUDE (item_key, item_code) FROM items ORDER BY item_code"),
        ("users", "SELECT * EXCLUDE (user_key, user_code) FROM users ORDER BY user_code"),
    ):
        path = folder / f"{name}.parquet"
        try:
            connection.execute(f"COPY ({query}) TO {sql_literal(path)} (FORMAT parquet)")
        except duckdb.IOException as error:  # the disk is full
            raise DataError(f"{path}: cannot be written: {error}") from error


def _event_names(connection: duckdb.DuckDBPyConnection) -> list[str]:
    names = [row[0] for row in connection.execute("SELECT event FROM event_names ORDER BY event_code").fetchall()]
    if len(names) > MOST_EVENT_TYPES:
        raise SchemaError(
            f"the log has {len(names):,} event types ({names[0]!r}, {names[1]!r} …), more than {MOST_EVENT_TYPES}; "
            "is the event column the right one? Map another or set data.cleaning.events"
        )
    return names


def _attribute_names(runner: StepRunner) -> list[tuple[str, list[str]]]:
    """User attributes with their values, "" (unknown) first."""
    described = []
    for name in runner.columns("users"):
        if name in (columns.USER, "user_key", "user_code", columns.FIRST_SEEN, *USER_AGGREGATES):
            continue
        found = runner.connection.execute(
            f'SELECT DISTINCT "{name}" FROM users WHERE "{name}" IS NOT NULL ORDER BY "{name}" LIMIT {MOST_VALUES + 1}'
        ).fetchall()
        if len(found) <= MOST_VALUES:
            described.append((name, ["", *(value for (value,) in found)]))
    return described


def _any(connection: duckdb.DuckDBPyConnection, condition: str) -> bool:
    return connection.execute(f"SELECT 1 FROM events WHERE {condition} LIMIT 1").fetchone() is not None
