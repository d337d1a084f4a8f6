from pathlib import Path

import pytest

from recsys_lab.data.sources.recbole import RecBole
from recsys_lab.errors import ConfigError, EmptyDataError, SchemaError, SourceError
from tests.data.sources.reading import PACK, Loaded, real_data, write

INTER = (
    "user_id:token\titem_id:token\trating:float\ttimestamp:float\n196\t242\t3\t881250949\nu\t302\t4.5\t891717742.0\n"
)
ITEM = (
    "item_id:token\tmovie_title:token_seq\tclass:token_seq\tyear:float\n"
    '242\tThe "Big" One\tDrama Comedy\t1996\n302\t\t\t\n'
)
USER = "user_id:token\tage:token\tzip:token\n196\t24\t85711\nu\t\t\n"


def folder_of(tmp_path: Path, packing: str = "") -> Path:
    for suffix, text in (("inter", INTER), ("item", ITEM), ("user", USER)):
        write(tmp_path / f"ml.{suffix}", text, packing=packing)
    return tmp_path


@pytest.mark.parametrize("packing", PACK)
def test_all_three_files(tmp_path: Path, packing: str) -> None:
    loaded = Loaded(RecBole(folder_of(tmp_path, packing)))
    assert loaded.events() == [("196", "242", 881_250_949, "rating", 3.0), ("u", "302", 891_717_742, "rating", 4.5)]
    assert loaded.items("item_id, title, category, text, year") == [
        ("242", 'The "Big" One', "Drama", "Drama Comedy", 1996.0),
        ("302", None, None, None, None),
    ]
    assert loaded.users("user_id, age, zip") == [("196", "24", "85711"), ("u", None, None)]


def test_interactions_alone_and_without_ratings_are_views(tmp_path: Path) -> None:
    path = write(tmp_path / "clicks.inter", "user_id:token\titem_id:token\ttimestamp:float\na\tb\t1600000000\n")
    loaded = Loaded(RecBole(path))
    assert loaded.events("user_id, item_id, timestamp, event") == [("a", "b", 1_600_000_000, "view")]
    assert loaded.tables() == {"raw_events", "events"}
    assert Loaded(RecBole(path, event="purchase")).events("event") == [("purchase",)]


def test_fields_under_other_names(tmp_path: Path) -> None:
    write(tmp_path / "x.inter", "uid:token\tsku:token\tts:float\tstars:float\na\tb\t1600000000\t5\n")
    write(tmp_path / "x.item", "sku:token\tlabel:token_seq\ttitle:token_seq\tkind:token\nb\tRed lamp\tno\tLamps & co\n")
    write(tmp_path / "x.user", "uid:token\tage:float\tcity:token\na\t40\tRome\n")
    source = RecBole(
        tmp_path,
        user_field="uid",
        item_field="sku",
        time_field="ts",
        rating_field="stars",
        item_mapping={"title": "label", "category": "kind"},
        user_fields=["age"],
    )
    loaded = Loaded(source)
    assert loaded.events() == [("a", "b", 1_600_000_000, "rating", 5.0)]
    assert loaded.items("item_id, title, category") == [("b", "Red lamp", "Lamps & co")]
    assert loaded.query("SELECT * EXCLUDE (row_id) FROM raw_users") == [("a", 40.0)]


def test_errors_name_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'colour' is unknown; use title, text"):
        RecBole(tmp_path, item_mapping={"colour": "x"})
    with pytest.raises(SourceError, match=r"ends with \.inter or \.inter\.gz"):
        RecBole(tmp_path).files()
    folder_of(tmp_path)
    with pytest.raises(SchemaError, match=r"ml\.inter: column 'time' is missing; it has user_id, item_id, rating"):
        Loaded(RecBole(tmp_path, time_field="time"))
    with pytest.raises(SchemaError, match=r"ml\.item: column 'label' is missing"):
        Loaded(RecBole(tmp_path, item_mapping={"title": "label"}))
    write(tmp_path / "ml.inter", INTER.replace("881250949", "long ago"))
    with pytest.raises(SchemaError, match="'long ago'"):
        Loaded(RecBole(tmp_path))
    write(tmp_path / "ml.inter", INTER.splitlines()[0] + "\n")
    with pytest.raises(EmptyDataError, match=r"ml\.inter"):
        Loaded(RecBole(tmp_path))
    write(tmp_path / "ml.inter", INTER.replace(":token", ""))
    with pytest.raises(SchemaError, match="'user_id' is not name:type"):
        Loaded(RecBole(tmp_path))
    write(tmp_path / "other.inter", INTER)
    with pytest.raises(SourceError, match=r"holds ml\.inter, other\.inter; give the path of one"):
        RecBole(tmp_path).files()


def test_real_movielens_100k() -> None:
    loaded = Loaded(RecBole(real_data("movielens-100k")))
    assert [loaded.count(table) for table in ("raw_events", "raw_users", "raw_items")] == [100_000, 943, 1_682]
    assert loaded.events()[0] == ("196", "242", 881_250_949, "rating", 3.0)
    assert loaded.query("SELECT title, category, text FROM raw_items WHERE item_id = '1'") == [
        ("Toy Story", "Animation", "Animation Children's Comedy")
    ]
    assert loaded.query("SELECT age, gender, occupation FROM raw_users WHERE user_id = '1'") == [
        ("24", "M", "technician")
    ]
