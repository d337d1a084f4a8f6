"""How an export is measured and gated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from recsys_lab.errors import ConfigError
from recsys_lab.settings import check_arguments
from serving_min.messages import MOST_ITEMS

ELSEWHERE = {"name", "version", "companions", "surfaces"}  # in conf/export too, for whoever writes the bundle


@dataclass(frozen=True)
class ExportSettings:
    """``conf/export``. Recall and parity are measured on lists of ``k``, with at most
    ``parity_queries`` of the test queries; up to ``flat_limit`` vectors are searched exactly,
    up to ``table_limit`` item-item weights all kept. An index takes at most ``index_megabytes``; vectors that take
    more than ``vectors_megabytes`` are kept in 8 bits a number. ``segments`` are user attributes whose values, if
    ``segment_users`` users share one, get a table of their ``segment_items`` most popular items."""

    target_recall: float = 0.97
    k: int = 100
    flat_limit: int = 100_000
    table_limit: int = 10_000_000
    index_megabytes: int = 512
    vectors_megabytes: int = 1_024
    parity_queries: int = 2_000
    tolerance: float = 1e-5
    seed: int = 0
    segments: list[str] | None = field(default_factory=lambda: ["country"])
    segment_users: int = 200
    segment_items: int = 300

    @classmethod
    def read(cls, settings: Mapping[str, Any]) -> ExportSettings:
        """Raises ConfigError for a setting that does not exist, or cannot work."""
        known = {field.name for field in fields(cls)}
        unknown = settings.keys() - {*EXPORT}
        if unknown:
            raise ConfigError(f"export: no such setting {sorted(unknown)}; there are {sorted(known)}")
        check_arguments(cls, settings, "export")
        read = cls(**{name: value for name, value in settings.items() if name in known})
        for name in ("k", "parity_queries"):
            if getattr(read, name) < 1:
                raise ConfigError(f"export.{name}: {getattr(read, name)} measures nothing; use 1 or more")
        if read.k > MOST_ITEMS:
            raise ConfigError(f"export.k: {read.k} is more than a list can hold; use at most {MOST_ITEMS}")
        for name in ("segment_users", "segment_items"):
            if getattr(read, name) < 1:
                raise ConfigError(f"export.{name}: {getattr(read, name)} is too few; use 1 or more")
        if len(set(read.segments or [])) != len(read.segments or []):
            raise ConfigError(f"export.segments: {read.segments} names an attribute twice")
        if not 0 < read.target_recall <= 1:
            raise ConfigError(f"export.target_recall: {read.target_recall} is no share; use more than 0, at most 1")
        if read.seed < 0 or not read.tolerance >= 0:
            raise ConfigError(f"export: seed {read.seed} and tolerance {read.tolerance} must be 0 or more")
        return read


EXPORT = (*(field.name for field in fields(ExportSettings)), *ELSEWHERE)  # all that conf/export may say
