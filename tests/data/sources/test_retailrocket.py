from pathlib import Path

import pytest

from recsys_lab.data.sources.retailrocket import RetailRocket
from recsys_lab.errors import EmptyDataError, SchemaError, SourceError
from tests.data.sources.reading import PACK, Loaded, write

EVENTS = """\
timestamp,visitorid,event,itemid,transactionid
1433221332117,257597,view,355908,
1433224214164,992329,addtocart,248676,
1433221999827,111016,transaction,318965,4000
"""
PART_1 = """\
timestamp,itemid,property,value
1435460400000,355908,categoryid,1338
1435460400000,355908,790,n32880.000
1431226800000,318965,available,0
"""
PART_2 = """\
timestamp,itemid,property,value
1431226800000,355908,categoryid,213
1433041200000,355908,available,1
1433041200000,318965,available,1
1433041200000,248676,categoryid,77
"""
TREE = "categoryid,parentid\n1338,213\n213,140\n140,\n8,9\n9,8\n"


def shop(folder: Path, packing: str = "") -> Path:
    for name, text in (
        ("events", EVENTS),
        ("item_properties_part1", PART_1),
        ("item_properties_part2", PART_2),
        ("category_tree", TREE),
    ):
        write(folder / f"{name}.csv", text, packing=packing)
    return folder


@pytest.mark.parametrize("packing", PACK)
def test_events_items_and_tree(tmp_path: Path, packing: str) -> None:
    source = RetailRocket(shop(tmp_path, packing))
    loaded = Loaded(source)
    assert loaded.events("user_id, item_id, timestamp, event, basket_id") == [
        ("257597", "355908", 1_433_221_332, "view", None),
        ("992329", "248676", 1_433_224_214, "cart", None),
        ("111016", "318965", 1_433_221_999, "purchase", "4000"),
    ]
    # 355908 moved from 213 to 1338 later; 77 is not in the tree; 318965 never had a category.
    assert loaded.items("item_id, category, text, available") == [
        ("248676", "77", "category_77", None),
        ("318965", None, None, "0"),
        ("355908", "140", "category_140 category_213", "1"),
    ]
    assert len(source.files()) == 4


def test_what_is_not_there_is_left_out(tmp_path: Path) -> None:
    shop(tmp_path)
    (tmp_path / "category_tree.csv").unlink()
    loaded = Loaded(RetailRocket(tmp_path / "events.csv"))
    assert ("355908", "213", "category_213") in loaded.items("item_id, category, text")
    for part in (1, 2):
        (tmp_path / f"item_properties_part{part}.csv").unlink()
    assert Loaded(RetailRocket(tmp_path)).tables() == {"raw_events", "events"}


def test_a_loop_in_the_tree_ends(tmp_path: Path) -> None:
    shop(tmp_path)
    write(tmp_path / "category_tree.csv", "categoryid,parentid\n213,1338\n1338,213\n")
    loaded = Loaded(RetailRocket(tmp_path))
    assert ("355908", "213", "category_213") in loaded.items("item_id, category, text")


def test_errors_name_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"has no events\.csv \(nor with \.gz or \.zst\)"):
        RetailRocket(tmp_path).files()
    shop(tmp_path)
    write(tmp_path / "category_tree.csv", "categoryid,parent\n")
    with pytest.raises(SchemaError, match=r"category_tree\.csv: column 'parentid' is missing"):
        Loaded(RetailRocket(tmp_path))
    write(tmp_path / "events.csv", EVENTS.replace("visitorid", "user"))
    with pytest.raises(SchemaError, match=r"events\.csv: column 'visitorid' is missing; it has timestamp, user"):
        Loaded(RetailRocket(tmp_path))
    write(tmp_path / "events.csv", EVENTS.replace("1433221332117", "?"))
    with pytest.raises(SchemaError, match=r"1 of 3 times cannot be read, the first is '\?'"):
        Loaded(RetailRocket(tmp_path))
    write(tmp_path / "events.csv", EVENTS.splitlines()[0] + "\n")
    with pytest.raises(EmptyDataError, match=r"events\.csv"):
        Loaded(RetailRocket(tmp_path))
