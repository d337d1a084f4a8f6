"""CSV files whose rows are a user, the items so far as a list, and the item that came next."""

from __future__ import annotations

import ast
import csv
import html
import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys_lab.data import columns
from recsys_lab.data.sources.base import Source, existing
from recsys_lab.data.sources.json_lines import lines_of
from recsys_lab.data.sources.known_names import PACKINGS, unpacked_name
from recsys_lab.data.sources.tables import files_at
from recsys_lab.errors import EmptyDataError, SchemaError, SourceError

if TYPE_CHECKING:
    import duckdb

PARTS = ("train", "valid", "test")
HISTORY, NEXT = "history", "next"
COLUMNS = ("user_id", "history_item_id", "item_id")
MINUTE = 60
TAG = re.compile(r"<[^>]*>")

Event = tuple[str, str, int, str]  # user, item, time, type


class NextItemRows(Source):
    """Rows in the order of time, as MiniOneRec and others publish Amazon data; which second is not known.

    Row r of all files together (those named …train.csv, …valid.csv and …test.csv in ``path``, of which
    any may be missing) is minute r after 1970-01-01: its ``item_id`` is an event of type "next" in that
    minute's last second. Rows of one user overlap, since the later history repeats the earlier row; an
    event is taken once, in the first row that shows it. What a user's first row says of the past becomes
    events of type "history" in the same minute, before the target. So with
    ``split.targets=successive split.target_events=[next]`` a cutoff at a file's first row trains on the
    rows before it and nothing else: an item that only later rows' histories hold is not known from events.

    ``items_path`` is a JSON object, item id → {title, description, brand, categories}. It has no dates:
    all its items count as announced before the first row. HTML in texts is removed.
    """

    def __init__(self, path: str | Path | None = None, *, items_path: str | Path | None = None) -> None:
        self.path = path
        self.items_path = items_path

    def files(self) -> list[Path]:
        return self._parts() if self.items_path is None else [*self._parts(), self._items()]

    def load(self, connection: duckdb.DuckDBPyConnection) -> None:
        import pandas as pd

        names = [columns.USER, columns.ITEM, columns.TIME, columns.EVENT]
        events = pd.DataFrame(_events(self._parts()), columns=names)
        if events.empty:
            raise EmptyDataError(f"{self._parts()[0]}: there is no row below the header")
        _create(connection, "raw_events", events.rename_axis("row_id").reset_index())
        if self.items_path is not None:
            _create(connection, "raw_items", pd.DataFrame(_described(self._items())))

    def _parts(self) -> list[Path]:
        files = files_at(self.path, [f"{part}.csv{packing}" for part in PARTS for packing in PACKINGS])
        return sorted(files, key=lambda file: [unpacked_name(file).endswith(f"{part}.csv") for part in reversed(PARTS)])

    def _items(self) -> Path:
        return existing(self.items_path, argument="data.items_path")


def _events(files: list[Path]) -> Iterator[Event]:
    """Every event once, in the order of the rows that show it first."""
    known: dict[str, list[str]] = {}
    rows = (row for file in files for row in _rows(file))
    for minute, (user, history, item) in enumerate(rows):
        past = known.setdefault(user, [])
        fresh = history[_overlap(past, history) :]
        for place, earlier in enumerate(fresh):
            yield user, earlier, minute * MINUTE + min(place, MINUTE - 2), HISTORY
        yield user, item, minute * MINUTE + MINUTE - 1, NEXT
        past += [*fresh, item]


def _overlap(past: list[str], history: list[str]) -> int:
    """How many of the history's first items are the last ones of the past."""
    sizes = range(min(len(past), len(history)), 0, -1)
    return next((size for size in sizes if past[-size:] == history[:size]), 0)


def _rows(path: Path) -> Iterator[tuple[str, list[str], str]]:
    reader = csv.DictReader(lines_of(path))
    missing = set(COLUMNS) - set(reader.fieldnames or ())
    if missing:
        raise SchemaError(f"{path}: columns {sorted(missing)} are missing; it has {', '.join(reader.fieldnames or ())}")
    for row in reader:
        history = _python_list(row["history_item_id"])
        if history is None or not row["user_id"] or not row["item_id"]:
            raise SchemaError(f"{path}: line {reader.line_num} has no user, list of items and next item, in that order")
        yield row["user_id"], [str(item) for item in history], row["item_id"]


def _python_list(text: str | None) -> list[Any] | None:
    """The list that ``text`` spells, None when it spells none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # of "3in", in a text that is no list
            value = ast.literal_eval(text or "")
    except (ValueError, SyntaxError):
        return None
    return value if isinstance(value, list) else None


def _described(path: Path) -> dict[str, list[Any]]:
    try:
        items = json.loads("".join(lines_of(path)))
    except ValueError as error:
        raise SourceError(f"data.items_path: {path} is no JSON: {error}") from error
    if not isinstance(items, dict) or not all(isinstance(fields, dict) for fields in items.values()):
        raise SchemaError(f"data.items_path: {path} is no object of item id → {{title, description, …}}")

    def texts(field: str) -> list[str]:
        return [_plain(fields.get(field, "")) for fields in items.values()]

    return {
        columns.ITEM: list(items),
        columns.TITLE: texts("title"),
        columns.TEXT: texts("description"),
        columns.BRAND: texts("brand"),
        columns.CATEGORY: texts("categories"),
        columns.AVAILABLE_FROM: [0] * len(items),
    }


def _plain(text: Any) -> str:
    """Without HTML; the paragraphs of a list, which these files spell as Python does, one after another."""
    paragraphs = _python_list(text) if isinstance(text, str) else text
    joined = " ".join(map(str, paragraphs)) if isinstance(paragraphs, list) else str(text or "")
    return " ".join(html.unescape(TAG.sub(" ", joined)).split())


def _create(connection: duckdb.DuckDBPyConnection, table: str, frame: Any) -> None:
    connection.register("given", frame)
    connection.execute(f"CREATE OR REPLACE TABLE {table} AS SELECT * FROM given")
    connection.unregister("given")
