from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from recsys_lab.data.shop.truth import Truth
from recsys_lab.data.sources.shop import Shop
from recsys_lab.errors import ConfigError

SMALL = {"n_users": 60, "n_items": 96, "n_events": 600, "days": 28}


def test_load_creates_the_raw_tables() -> None:
    shop = Shop(**SMALL)
    with duckdb.connect() as connection:
        shop.load(connection)
        events = connection.execute("SELECT * FROM raw_events ORDER BY row_id").fetch_df()
        sizes = {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()
            for table in ("raw_items", "raw_users", "raw_impressions")
        }
    assert list(events["row_id"]) == list(range(len(events)))
    assert list(events["item_id"]) == list(shop.generate().events["item_id"])
    assert events["timestamp"].dtype == "int64"
    assert events.loc[events["event"] == "view", "basket_id"].isna().all()
    assert sizes == {"raw_items": (96,), "raw_users": (60,), "raw_impressions": (len(shop.generate().impressions),)}


def test_extras_write_truth_and_impressions(tmp_path: Path) -> None:
    shop = Shop(**SMALL)
    shop.extras(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"truth.npz", "truth.json", "impressions.parquet"}
    assert len(Truth.load(tmp_path).item_vectors) == 96
    shown = pd.read_parquet(tmp_path / "impressions.parquet")
    columns = ["request_id", "user_id", "timestamp", "surface", "position", "item_id", "propensity", "clicked"]
    assert list(shown) == columns


def test_extras_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    for run in ("a", "b"):
        (tmp_path / run).mkdir()
        Shop(**SMALL).extras(tmp_path / run)
    for name in ("impressions.parquet", "truth.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_smallest_shop_has_events_though_no_page_was_shown() -> None:
    shop = Shop(n_users=1, n_items=96, n_events=6, days=14).generate()
    assert shop.impressions.empty
    assert len(shop.events) > 0


def test_fingerprint_covers_the_settings_only() -> None:
    shop = Shop(**SMALL)
    before = shop.fingerprint()
    shop.generate()
    assert shop.fingerprint() == before == Shop(**SMALL).fingerprint()
    assert Shop(**SMALL, seed=8).fingerprint() != before
    assert shop.files() == []


@pytest.mark.parametrize("change", [{"n_items": 50}, {"n_users": 0}, {"n_events": 300}, {"days": 7}, {"seed": -1}])
def test_sizes_that_make_no_shop_are_refused(change: dict[str, Any]) -> None:
    name = next(iter(change))
    with pytest.raises(ConfigError, match=rf"data\.{name}: {change[name]} is too few"):
        Shop(**{**SMALL, **change})
