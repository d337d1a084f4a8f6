"""What every source does: fill ``raw_events`` (and ``raw_items``, ``raw_users``) in DuckDB."""

from __future__ import annotations

import hashlib
import json
import re
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from recsys_lab.data.step import Step
from recsys_lab.errors import SourceError

if TYPE_CHECKING:
    import duckdb


class Source(ABC):
    """Raw data of one format. Settings are keyword arguments of ``__init__``, kept under their names.

    ``load`` creates the tables described in :mod:`recsys_lab.data.columns`, plus ``row_id``
    (BIGINT, the order in the source, unique) in ``raw_events``. Columns that the source lacks are
    left out. Reading may use the engine's own readers; ``steps`` are portable SQL.
    """

    order_only: ClassVar[bool] = False  # no clock: timestamps are positions, a time split is refused
    reading: ClassVar[int] = 1  # raise it when the same files are read as other tables: they are prepared again

    @property
    def name(self) -> str:
        return type(self).__module__.rpartition(".")[2]

    def settings(self) -> dict[str, Any]:
        """What ``__init__`` was given; an attribute with a leading underscore is the source's own state."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    @abstractmethod
    def load(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Create the raw tables. Raises SourceError, SchemaError or EmptyDataError."""

    @abstractmethod
    def files(self) -> list[Path]:
        """The files that ``load`` reads, for the fingerprint. Raises SourceError if one is missing."""

    def steps(self) -> list[Step]:
        """The format's own cleaning rules, run on ``events`` before the general ones."""
        return []

    def extras(self, folder: Path) -> None:  # noqa: B027
        """Write what belongs beside the prepared data into ``folder``; nothing by default."""

    def fingerprint(self) -> str:
        """sha256 over the settings, the contents of the files and how they are read; the same data, the same value.

        Where the files lie does not count: of a setting named ``…path`` only whether it is set.
        """
        settings = {
            key: str(value is not None) if key.endswith("path") else str(value)
            for key, value in sorted(self.settings().items())
        }
        later = [self.reading] if self.reading > 1 else []  # what is still read as at first keeps its name
        digest = hashlib.sha256(json.dumps([self.name, settings, *later]).encode())
        for path in self.files():
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()


def existing(path: str | Path | None, *, argument: str = "data.path") -> Path:
    """The path if something is there. Raises SourceError that names the argument."""
    if path is None:
        raise SourceError(f"{argument}: not set; give the path of your copy, {argument}=…")
    found = Path(path).expanduser()
    if not found.exists():
        raise SourceError(f"{argument}: {found} does not exist")
    return found


def sql_literal(value: Any) -> str:
    """A Python str, number or None as an SQL literal."""
    if value is None:
        return "NULL"
    if isinstance(value, bool | int | float):
        return repr(value).upper() if isinstance(value, bool) else repr(value)
    return "'" + str(value).replace("'", "''") + "'"


def sql_path(path: Path) -> str:
    """The path as an SQL literal that names this one file, though the engine takes some letters for wildcards."""
    return sql_literal(re.sub(r"[*?[]", r"[\g<0>]", str(path)))
