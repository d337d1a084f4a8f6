"""Your own log as Parquet: ``data=parquet data.path=events.parquet``, or a folder of such files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from recsys_lab.data import columns
from recsys_lab.data.sources.mapped import MappedSource
from recsys_lab.data.sources.tables import parquet_relation
from recsys_lab.errors import SchemaError, SourceError


class Parquet(MappedSource):
    """Parquet files, whose columns may have any type; the settings of :class:`MappedSource`.

    Each file of a folder must have those standard columns that the first one has: of others nothing would be read.
    """

    suffixes = (".parquet", ".pq")

    def relation(self, paths: Sequence[Path]) -> str:
        mapping = self.mapping or {}
        wanted = {mapping.get(name, name) for name in columns.EVENT_COLUMNS}
        found = [sorted(wanted.intersection(_names(path))) for path in paths] if len(paths) > 1 else []
        for path, names in zip(paths, found, strict=False):
            if names != found[0]:
                raise SchemaError(f"{path}: has {names}, but {paths[0]} {found[0]}; make them the same")
        return parquet_relation(paths)


def _names(path: Path) -> list[str]:
    from pyarrow import ArrowException, parquet

    try:
        names: list[str] = parquet.read_schema(path).names
    except (OSError, ArrowException) as error:
        raise SourceError(f"{path}: cannot be read: {error}") from error
    return names
