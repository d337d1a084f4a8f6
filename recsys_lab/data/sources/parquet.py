"""Your own log as Parquet: ``data=parquet data.path=events.parquet``, or a folder of such files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from recsys_lab.data.sources.mapped import MappedSource
from recsys_lab.data.sources.tables import parquet_relation


class Parquet(MappedSource):
    """Parquet files, whose columns may have any type; the settings of :class:`MappedSource`."""

    suffixes = (".parquet", ".pq")

    def relation(self, paths: Sequence[Path]) -> str:
        return parquet_relation(paths)
