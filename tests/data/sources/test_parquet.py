"""Your own log as Parquet: columns come with types of their own."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from recsys_lab.data.sources.parquet import Parquet
from recsys_lab.errors import SchemaError, SourceError
from tests.data.sources.reading import Loaded

MOMENT = 1704157445


@pytest.mark.parametrize(
    "times",
    [
        pd.Series([MOMENT, None], dtype="Int64"),
        pd.Series([MOMENT * 1000, None], dtype="Int64"),
        pd.Series([float(MOMENT), None]),
        pd.to_datetime(pd.Series([MOMENT, None]), unit="s"),
        pd.to_datetime(pd.Series([MOMENT, None]), unit="s", utc=True).dt.tz_convert("Asia/Tokyo"),
        pd.to_datetime(pd.Series([MOMENT, None]), unit="s", utc=True).dt.as_unit("ns"),
        pd.Series(["2024-01-02T01:04:05", None]),
    ],
    ids=["seconds", "milliseconds", "floats", "timestamps", "zoned", "zoned nanoseconds", "text"],
)
def test_times_of_any_type_are_seconds(tmp_path: Path, times: pd.Series) -> None:
    path = tmp_path / "log.parquet"
    pd.DataFrame({"user_id": [17850.0, None], "item_id": [5, 6], "timestamp": times}).to_parquet(path)
    assert Loaded(Parquet(path)).events("user_id, item_id, timestamp") == [("17850", "5", MOMENT), (None, "6", None)]


def test_the_files_of_a_folder_are_one_log(tmp_path: Path) -> None:
    for name, user in (("2.parquet", "v"), ("1.parquet", "u")):
        pd.DataFrame({"user_id": [user], "item_id": ["A"], "timestamp": [1]}).to_parquet(tmp_path / name)
    assert Loaded(Parquet(tmp_path)).events("row_id, user_id") == [(0, "u"), (1, "v")]


def test_a_folder_s_name_says_nothing_about_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "timestamp=2024-01-01"
    folder.mkdir()
    pd.DataFrame({"user_id": ["u"], "item_id": ["A"], "timestamp": [5]}).to_parquet(folder / "log.parquet")
    assert Loaded(Parquet(folder)).events("user_id, timestamp") == [("u", 5)]


def test_files_of_which_some_have_event_types_are_refused(tmp_path: Path) -> None:
    """Those of the second would all be views, since the first says what is read."""
    log = pd.DataFrame({"user_id": ["u"], "item_id": ["A"], "timestamp": [1], "device": ["x"]})
    log.to_parquet(tmp_path / "1.parquet")
    log.assign(event="purchase", colour="red").to_parquet(tmp_path / "2.parquet")
    with pytest.raises(SchemaError, match=r"2\.parquet: has \['event', .*1\.parquet \['item_id', "):
        Loaded(Parquet(tmp_path))
    log.drop(columns="device").to_parquet(tmp_path / "2.parquet")
    assert Loaded(Parquet(tmp_path)).count("events") == 2
    (tmp_path / "3.parquet").write_text("text")
    with pytest.raises(SourceError, match=r"3\.parquet: cannot be read"):
        Loaded(Parquet(tmp_path))


def test_brackets_and_stars_in_a_name_are_no_wildcards(tmp_path: Path) -> None:
    for name, user in (("log[1]*.parquet", "u"), ("log1.parquet", "v"), ("log1x.parquet", "w")):
        pd.DataFrame({"user_id": [user], "item_id": ["A"], "timestamp": [1]}).to_parquet(tmp_path / name)
    assert Loaded(Parquet(tmp_path / "log[1]*.parquet")).events("user_id") == [("u",)]


def test_a_mapping_and_a_catalogue_work_as_for_text(tmp_path: Path) -> None:
    pd.DataFrame({"u": ["x"], "item_id": ["A"], "timestamp": [1]}).to_parquet(tmp_path / "log.parquet")
    pd.DataFrame({"item_id": ["A"], "tags": [["red", "big"]]}).to_parquet(tmp_path / "items.parquet")
    source = Parquet(tmp_path / "log.parquet", items_path=tmp_path / "items.parquet", mapping={"user_id": "u"})
    loaded = Loaded(source)
    assert loaded.events("user_id") == [("x",)]
    assert loaded.items("item_id, tags") == [("A", ["red", "big"])]


def test_an_item_s_categories_may_be_a_list(tmp_path: Path) -> None:
    pd.DataFrame({"user_id": ["x"], "item_id": ["A"], "timestamp": [1]}).to_parquet(tmp_path / "log.parquet")
    categories = [["shoes", "sale"], ["hats"], [], None]
    pd.DataFrame({"item_id": list("ABCD"), "category": categories}).to_parquet(tmp_path / "items.parquet")
    loaded = Loaded(Parquet(tmp_path / "log.parquet", items_path=tmp_path / "items.parquet"))
    assert loaded.items("category") == [("shoes|sale",), ("hats",), (None,), (None,)]


def test_another_format_and_a_missing_column_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    path.write_text("user_id,item_id,timestamp")
    with pytest.raises(SourceError, match=r"log\.parquet: cannot be read"):
        Loaded(Parquet(path))
    pd.DataFrame({"user_id": ["x"], "timestamp": [1]}).to_parquet(path)
    with pytest.raises(SchemaError, match="column 'item_id' is missing; it has user_id, timestamp"):
        Loaded(Parquet(path))
