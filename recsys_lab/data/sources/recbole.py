"""RecBole's atomic files: ``X.inter`` and, if there, ``X.item`` and ``X.user``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recsys_lab.data import columns
from recsys_lab.data.sources.base import Source, sql_literal
from recsys_lab.data.sources.known_names import column_beside, column_named, file_beside, only_file, unpacked_name
from recsys_lab.data.sources.tables import columns_of, create_table, csv_relation, epoch_seconds, number, text_id
from recsys_lab.errors import ConfigError, SchemaError

if TYPE_CHECKING:
    import duckdb

# Where a standard item column is looked for unless item_mapping says.
ITEM_FIELDS: dict[str, Sequence[str]] = {
    columns.TITLE: ("title", "movie_title", "item_title", "item_name", "name"),
    columns.TEXT: ("text", "description"),
    columns.CATEGORY: ("category", "categories", "genre", "genres", "class", "item_category"),
    columns.BRAND: ("brand", "store"),
    columns.PRICE: ("price",),
}


class RecBole(Source):
    """Tab-separated files whose header gives each field's type: ``name:token``, ``token_seq``, ``float`` …

    ``path`` is the folder, or the .inter file beside the others. Interactions with a rating are events
    of type "rating" (value = the rating) unless ``event`` says otherwise; without one, views.
    ``item_mapping`` says which field is an item's title, text, category, brand or price, where the usual
    names do not; a sequence of words gives its first word as category and all of them as text. Users
    keep every field, or those of ``user_fields`` (a zip code nearly names a person).
    """

    reading = 2

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        user_field: str = "user_id",
        item_field: str = "item_id",
        time_field: str = "timestamp",
        rating_field: str = "rating",
        item_mapping: Mapping[str, str] | None = None,
        user_fields: Sequence[str] | None = None,
        event: str | None = None,
    ) -> None:
        unknown = set(item_mapping or {}) - set(ITEM_FIELDS)
        if unknown:
            raise ConfigError(f"data.item_mapping: {min(unknown)!r} is unknown; use {', '.join(ITEM_FIELDS)}")
        self.path = path
        self.user_field = user_field
        self.item_field = item_field
        self.time_field = time_field
        self.rating_field = rating_field
        self.item_mapping = dict(item_mapping or {})
        self.user_fields = None if user_fields is None else list(user_fields)
        self.event = event

    def files(self) -> list[Path]:
        interactions = only_file(self.path, ".inter")
        name = Path(unpacked_name(interactions)).stem
        others = (file_beside(interactions.parent, [f"{name}.{kind}"]) for kind in ("item", "user"))
        return [interactions, *(file for file in others if file is not None)]

    def load(self, connection: duckdb.DuckDBPyConnection) -> None:
        for path in self.files():
            file = AtomicFile.of(connection, path)
            match Path(unpacked_name(path)).suffix:
                case ".item":
                    self._load_items(connection, file)
                case ".user":
                    self._load_users(connection, file)
                case _:
                    self._load_events(connection, file)

    def _load_events(self, connection: duckdb.DuckDBPyConnection, file: AtomicFile) -> None:
        time = file.column(self.time_field)
        expressions = {
            columns.USER: text_id(file.column(self.user_field)),
            columns.ITEM: text_id(file.column(self.item_field)),
            columns.TIME: epoch_seconds(time),
        }
        rated = self.rating_field in file.types
        if rated:
            expressions[columns.VALUE] = number(file.column(self.rating_field))
        expressions[columns.EVENT] = sql_literal(self.event or ("rating" if rated else "view"))
        create_table(connection, "raw_events", file.relation, expressions, path=file.path, times_from=time)

    def _load_items(self, connection: duckdb.DuckDBPyConnection, file: AtomicFile) -> None:
        chosen = {name: column_beside(file.types, fields) for name, fields in ITEM_FIELDS.items()} | self.item_mapping
        expressions = {columns.ITEM: text_id(file.column(self.item_field))}
        for name, field in chosen.items():
            if field is not None:
                expressions[name] = file.value(field)
        category = chosen[columns.CATEGORY]
        if category is not None and file.types[category] == "token_seq":
            words = expressions[columns.CATEGORY]
            expressions[columns.CATEGORY] = f"string_split({words}, ' ')[1]"
            expressions.setdefault(columns.TEXT, words)
        taken = {self.item_field, *chosen.values(), *expressions}
        expressions |= {field: file.value(field) for field in file.types if field not in taken}
        create_table(connection, "raw_items", file.relation, expressions, path=file.path)

    def _load_users(self, connection: duckdb.DuckDBPyConnection, file: AtomicFile) -> None:
        expressions = {columns.USER: text_id(file.column(self.user_field))}
        chosen = list(file.types) if self.user_fields is None else self.user_fields
        expressions |= {field: file.value(field) for field in chosen if field != self.user_field}
        create_table(connection, "raw_users", file.relation, expressions, path=file.path)


@dataclass(frozen=True)
class AtomicFile:
    path: Path
    relation: str
    types: dict[str, str]  # type by field, in the order of the header

    @classmethod
    def of(cls, connection: duckdb.DuckDBPyConnection, path: Path) -> AtomicFile:
        """Raises SchemaError when the header names no types."""
        relation = csv_relation(path, delimiter="\t", quote="")
        types = {}
        for header in columns_of(connection, relation, path=path):
            field, colon, kind = header.rpartition(":")
            if not colon:
                raise SchemaError(f"{path}: the header {header!r} is not name:type, as in user_id:token")
            types[field] = kind
        return cls(path, relation, types)

    def column(self, field: str) -> str:
        """The quoted column of a field. Raises SchemaError when the file lacks it."""
        return f'"{column_named(self.types, [field], path=self.path)}:{self.types[field]}"'

    def value(self, field: str) -> str:
        """SQL of a field: a number for a float, otherwise text that is not blank."""
        column = self.column(field)
        return number(column) if self.types[field] == "float" else text_id(column)
