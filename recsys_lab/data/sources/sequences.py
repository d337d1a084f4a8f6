"""One line per user: the user id, then item ids in the order of their events; nothing says when."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from recsys_lab.data import columns
from recsys_lab.data.sources.base import Source, existing
from recsys_lab.data.sources.json_lines import lines_of
from recsys_lab.data.sources.known_names import only_file
from recsys_lab.data.sources.tables import columns_of, create_table, csv_relation
from recsys_lab.errors import EmptyDataError, SchemaError, SourceError

if TYPE_CHECKING:
    import duckdb

NO_DELIMITER = "\x01"  # in no text file, so that a line is read as one column


class Sequences(Source):
    """Order without a clock: a timestamp is the position in the line (0, 1, 2 …), so no time split exists.

    Ids stand between blanks or tabs, and each user has one line. ``attributes_path`` is a JSON object,
    item id → list of attribute ids; an attribute becomes the word ``attribute_<id>`` of the item's text.
    """

    order_only: ClassVar[bool] = True

    def __init__(self, path: str | Path | None = None, *, attributes_path: str | Path | None = None) -> None:
        self.path = path
        self.attributes_path = attributes_path

    def files(self) -> list[Path]:
        sequences = only_file(self.path, ".txt")
        return [sequences] if self.attributes_path is None else [sequences, self._attributes()]

    def load(self, connection: duckdb.DuckDBPyConnection) -> None:
        path = self.files()[0]
        lines = csv_relation(path, delimiter=NO_DELIMITER, names=["line"], quote="")
        columns_of(connection, lines, path=path)
        ids = f"SELECT regexp_split_to_array(trim(line, ' \\t\\r'), '\\s+') AS ids FROM {lines}"
        places = "SELECT ids[1] AS user_id, unnest(ids[2:]) AS item_id, generate_subscripts(ids[2:], 1) - 1 AS place"
        expressions = {columns.USER: "user_id", columns.ITEM: "item_id", columns.TIME: "CAST(place AS BIGINT)"}
        try:
            create_table(connection, "raw_events", f"({places} FROM ({ids}))", expressions, path=path)
        except EmptyDataError:
            raise EmptyDataError(f"{path}: no line holds an item after the user id; ids stand between blanks") from None
        _check_one_line_each(connection, path)
        if self.attributes_path is not None:
            self._load_attributes(connection)

    def _attributes(self) -> Path:
        return existing(self.attributes_path, argument="data.attributes_path")

    def _load_attributes(self, connection: duckdb.DuckDBPyConnection) -> None:
        import pandas as pd

        path = self._attributes()
        try:
            attributes = json.loads("".join(lines_of(path)))
        except ValueError as error:
            raise SourceError(f"data.attributes_path: {path} is no JSON: {error}") from error
        if not isinstance(attributes, dict) or not all(isinstance(ids, list) for ids in attributes.values()):
            raise SchemaError(f"data.attributes_path: {path} is no object of item id → list of attribute ids")
        texts = [" ".join(f"attribute_{attribute}" for attribute in ids) for ids in attributes.values()]
        items = pd.DataFrame({columns.ITEM: list(attributes), columns.TEXT: texts}, dtype="str")
        connection.register("item_attributes", items)
        connection.execute("CREATE OR REPLACE TABLE raw_items AS SELECT item_id, text FROM item_attributes")
        connection.unregister("item_attributes")


def _check_one_line_each(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    several = "SELECT user_id FROM raw_events WHERE timestamp = 0 GROUP BY user_id HAVING count(*) > 1"
    twice = connection.execute(f"{several} ORDER BY user_id LIMIT 1").fetchall()
    if twice:
        raise SchemaError(f"{path}: user {twice[0][0]!r} has several lines, so their order is unknown; join them")
