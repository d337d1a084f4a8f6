"""Where a data set comes from: its source, its settings, and what every step did to the rows."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from recsys_lab.errors import DataError


@dataclass(frozen=True)
class LineageStep:
    """A step that made ``rows_out`` rows of ``table`` out of ``rows_in`` rows of the log.

    ``dropped`` rows left the log for the reason ``why``; a step that made another table drops none.
    """

    name: str
    why: str
    rows_in: int
    rows_out: int
    scope: Literal["row", "past", "whole_log"] = "row"
    table: str = "events"

    @property
    def dropped(self) -> int:
        return self.rows_in - self.rows_out if self.table == "events" else 0


@dataclass(frozen=True)
class Lineage:
    """``files`` maps each input file's name to its size in bytes; ``created`` is an ISO time, UTC."""

    source: str
    files: dict[str, int]
    settings: dict[str, Any]
    steps: tuple[LineageStep, ...]
    created: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(self.to_dict(), indent=2))

    @classmethod
    def load(cls, path: Path) -> Lineage:
        """Raises DataError when the file is not a lineage of this version."""
        try:
            described = json.loads(path.read_text())
            steps = tuple(LineageStep(**step) for step in described.pop("steps"))
            return cls(**described, steps=steps)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DataError(f"{path}: is no lineage of this version; remove its folder and prepare again") from error
