"""Your own log as delimited text: ``data=csv data.path=events.csv``, packed as .gz or .zst or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recsys_lab.data.sources.mapped import MappedSource
from recsys_lab.data.sources.tables import csv_relation


@dataclass(kw_only=True)
class Csv(MappedSource):
    """Text files with a header line each; the settings of :class:`MappedSource` and two more.

    ``delimiter`` None takes whichever of tab, comma, semicolon and bar the first line has most of; a tab may be
    written as a backslash and t.
    """

    suffixes = tuple(f".{kind}{packed}" for kind in ("csv", "tsv", "txt") for packed in ("", ".gz", ".zst"))

    delimiter: str | None = None
    encoding: str = "utf-8"

    def relation(self, paths: Sequence[Path]) -> str:
        delimiter = self.delimiter and self.delimiter.replace("\\t", "\t")
        return csv_relation(paths, delimiter=delimiter, encoding=self.encoding)
