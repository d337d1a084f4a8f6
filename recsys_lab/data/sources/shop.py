"""The embedded default: a simulated shop, the same for the same settings, with a known truth."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from recsys_lab.data.shop.generate import ShopData, generate
from recsys_lab.data.shop.vocabulary import SHELVES
from recsys_lab.data.sources.base import Source
from recsys_lab.errors import ConfigError

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

GENERATOR_VERSION = 2  # raise it when the same settings give other data
FEWEST_EVENTS = 6  # per user: everybody has a first session


class Shop(Source):
    """About ``n_events`` events of ``n_users`` users with ``n_items`` items over ``days`` days.

    ``load`` also creates ``raw_impressions``: request_id, user_id, timestamp, surface, position (from 1),
    item_id, propensity, clicked. Raises ConfigError for sizes that make no shop.
    """

    def __init__(
        self, *, n_users: int = 5_000, n_items: int = 2_000, n_events: int = 200_000, days: int = 180, seed: int = 7
    ) -> None:
        _at_least(n_users=(n_users, 1), n_items=(n_items, 2 * len(SHELVES)), days=(days, 14), seed=(seed, 0))
        _at_least(n_events=(n_events, FEWEST_EVENTS * n_users))
        self.n_users = n_users
        self.n_items = n_items
        self.n_events = n_events
        self.days = days
        self.seed = seed
        self._data: ShopData | None = None

    def generate(self) -> ShopData:
        """The shop as frames, simulated once."""
        if self._data is None:
            self._data = generate(
                n_users=self.n_users, n_items=self.n_items, n_events=self.n_events, days=self.days, seed=self.seed
            )
        return self._data

    def load(self, connection: duckdb.DuckDBPyConnection) -> None:
        data = self.generate()
        _create(connection, "raw_events", data.events.assign(row_id=range(len(data.events))))
        _create(connection, "raw_items", data.items)
        _create(connection, "raw_users", data.users)
        _create(connection, "raw_impressions", data.impressions)

    def files(self) -> list[Path]:
        return []

    def extras(self, folder: Path) -> None:
        """``impressions.parquet`` with external ids, and the truth: ``truth.npz``, ``truth.json``."""
        data = self.generate()
        data.impressions.to_parquet(folder / "impressions.parquet", index=False)
        data.truth.save(folder)

    def fingerprint(self) -> str:
        return hashlib.sha256(f"{super().fingerprint()} generator {GENERATOR_VERSION}".encode()).hexdigest()


def _create(connection: duckdb.DuckDBPyConnection, table: str, frame: pd.DataFrame) -> None:
    connection.register("shop_frame", pa.Table.from_pandas(frame, preserve_index=False))
    connection.execute(f"CREATE TABLE {table} AS SELECT * FROM shop_frame")
    connection.unregister("shop_frame")


def _at_least(**settings: tuple[int, int]) -> None:
    for name, (value, least) in settings.items():
        if value < least:
            raise ConfigError(f"data.{name}: {value} is too few for a shop; use {least} or more")
