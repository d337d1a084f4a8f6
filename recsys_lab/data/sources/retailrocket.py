"""RetailRocket: views, carts and transactions of a shop, with item properties and a category tree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recsys_lab.data import columns
from recsys_lab.data.sources.base import Source, sql_literal
from recsys_lab.data.sources.known_names import column_named, file_beside, file_named
from recsys_lab.data.sources.tables import columns_of, create_table, csv_relation, epoch_seconds, text_id

if TYPE_CHECKING:
    import duckdb

EVENTS = {"view": "view", "addtocart": "cart", "transaction": "purchase"}
EVENT_COLUMNS = ("timestamp", "visitorid", "event", "itemid", "transactionid")
PROPERTY_FILES = ("item_properties_part1.csv", "item_properties_part2.csv")
PROPERTY_COLUMNS = ("timestamp", "itemid", "property", "value")
TREE_FILE = "category_tree.csv"
TREE_COLUMNS = ("categoryid", "parentid")
DEEPEST = 50  # levels; the tree has six, and a loop in a spoilt one must end


class RetailRocket(Source):
    """Visitors are users, a transaction id is a basket; ``path`` is the folder, or events.csv in it.

    Properties are weekly snapshots, the first a week after the log begins. An item keeps the *first*
    value of ``categoryid`` and of ``available`` (a column of its own, "0" or "1"), so later changes
    stay out; that the first value held from the item's start is an assumption. ``category`` is the
    top of the tree above the item, ``text`` the path down to it in words ``category_<id>``. Without
    the property files the log stands alone, without the tree every category is its own top.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = path

    def files(self) -> list[Path]:
        return [self._events(), *self._beside(PROPERTY_FILES), *self._beside([TREE_FILE])]

    def load(self, connection: duckdb.DuckDBPyConnection) -> None:
        path = self._events()
        kinds = " ".join(f"WHEN {sql_literal(name)} THEN {sql_literal(kind)}" for name, kind in EVENTS.items())
        expressions = {
            columns.USER: text_id("visitorid"),
            columns.ITEM: text_id("itemid"),
            columns.TIME: epoch_seconds("timestamp"),
            columns.EVENT: f"CASE event {kinds} ELSE event END",
            columns.BASKET: text_id("transactionid"),
        }
        relation = _checked(connection, [path], EVENT_COLUMNS)
        create_table(connection, "raw_events", relation, expressions, path=path, times_from="timestamp")
        if self._beside(PROPERTY_FILES):
            self._load_items(connection)

    def _load_items(self, connection: duckdb.DuckDBPyConnection) -> None:
        files = self._beside(PROPERTY_FILES)
        first = "arg_min(value, (TRY_CAST(timestamp AS BIGINT), value)) FILTER (WHERE property = '{0}') AS {0}"
        relation = (
            f"(SELECT itemid, {first.format('categoryid')}, {first.format('available')}"
            f" FROM {_checked(connection, files, PROPERTY_COLUMNS)}"
            " WHERE property IN ('categoryid', 'available') GROUP BY itemid)"
        )
        relation = f"({relation} AS item LEFT JOIN ({self._paths(connection)}) AS tree ON categoryid = tree.id)"
        expressions = {
            columns.ITEM: text_id("itemid"),
            columns.CATEGORY: "coalesce(path[1], categoryid)",
            columns.TEXT: "'category_' || array_to_string(coalesce(path, [categoryid]), ' category_')",
            "available": "available",
        }
        create_table(connection, "raw_items", relation, expressions, path=files[0])

    def _paths(self, connection: duckdb.DuckDBPyConnection) -> str:
        """SQL of (category id, the ids from the top of the tree down to it)."""
        files = self._beside([TREE_FILE])
        if not files:
            return "SELECT '' AS id, CAST([] AS VARCHAR[]) AS path WHERE false"
        tree = f"(SELECT {text_id('categoryid')} AS id, {text_id('parentid')} AS parent" + (
            f" FROM {_checked(connection, files, TREE_COLUMNS)})"
        )
        return (
            f"WITH RECURSIVE tree AS (FROM {tree}), paths AS ("
            "SELECT id, [id] AS path FROM tree WHERE parent IS NULL UNION ALL"
            " SELECT tree.id, list_append(path, tree.id) FROM tree JOIN paths ON tree.parent = paths.id"
            f" WHERE len(path) < {DEEPEST}) SELECT id, path FROM paths"
        )

    def _events(self) -> Path:
        return file_named(self.path, ["events.csv"])

    def _beside(self, names: Sequence[str]) -> list[Path]:
        folder = self._events().parent
        return [file for name in names if (file := file_beside(folder, [name])) is not None]


def _checked(connection: duckdb.DuckDBPyConnection, files: Sequence[Path], names: Sequence[str]) -> str:
    """The relation of files that must have these columns."""
    relation = csv_relation(files, delimiter=",")
    found = columns_of(connection, relation, path=files[0])
    for name in names:
        column_named(found, [name], path=files[0])
    return relation
