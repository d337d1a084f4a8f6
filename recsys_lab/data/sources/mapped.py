"""Your own tables with a column mapping: what the csv and parquet sources share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from recsys_lab.data.sources.base import Source, existing
from recsys_lab.data.sources.tables import create_events, create_items, create_users, files_at
from recsys_lab.errors import ConfigError

if TYPE_CHECKING:
    import duckdb


@dataclass(kw_only=True)
class MappedSource(Source):
    """A file of events, and if there are such files items and users.

    ``path`` may be a folder of files with the same columns. ``mapping``, ``items_mapping`` and
    ``users_mapping`` say, for a standard name of :mod:`recsys_lab.data.columns`, which column it is;
    a column that already has the standard name needs no mention. Other columns of items and users
    stay as attributes. ``time_format`` is strptime's, for events and items; None reads ISO times and
    epoch seconds, milli-, micro- or nanoseconds. ``event`` is what every row is, when the file does
    not say. Raises SourceError, SchemaError or EmptyDataError that names the file.
    """

    reading = 2
    suffixes: ClassVar[tuple[str, ...]]

    path: str | Path | None = field(default=None, kw_only=False)
    items_path: str | Path | None = None
    users_path: str | Path | None = None
    mapping: Mapping[str, str] | None = None
    items_mapping: Mapping[str, str] | None = None
    users_mapping: Mapping[str, str] | None = None
    time_format: str | None = None
    event: str | None = None

    def __post_init__(self) -> None:
        for kind, path, mapping in (
            ("items", self.items_path, self.items_mapping),
            ("users", self.users_path, self.users_mapping),
        ):
            if mapping and path is None:
                raise ConfigError(f"data.{kind}_mapping: of no file; give the file's path, data.{kind}_path=…")

    @abstractmethod
    def relation(self, paths: Sequence[Path]) -> str:
        """The FROM clause that reads the files."""

    def files(self) -> list[Path]:
        optional = (self._items(), self._users())
        return [*self._events(), *(path for path in optional if path is not None)]

    def load(self, connection: duckdb.DuckDBPyConnection) -> None:
        events, items, users = self._events(), self._items(), self._users()
        create_events(
            connection,
            self.relation(events),
            path=events[0],
            mapping=self.mapping,
            time_format=self.time_format,
            event=self.event,
        )
        if items is not None:
            relation = self.relation([items])
            create_items(connection, relation, path=items, mapping=self.items_mapping, time_format=self.time_format)
        if users is not None:
            create_users(connection, self.relation([users]), path=users, mapping=self.users_mapping)

    def _events(self) -> list[Path]:
        return files_at(self.path, self.suffixes)

    def _items(self) -> Path | None:
        return None if self.items_path is None else existing(self.items_path, argument="data.items_path")

    def _users(self) -> Path | None:
        return None if self.users_path is None else existing(self.users_path, argument="data.users_path")
