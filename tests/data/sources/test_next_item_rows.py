import json
from pathlib import Path

import pytest

from recsys_lab.data.sources.next_item_rows import NextItemRows
from recsys_lab.errors import EmptyDataError, SchemaError, SourceError
from tests.data.sources.reading import PACK, Loaded, real_data, write

HEADER = "user_id,history_item_title,item_title,history_item_id,item_id\n"
VALID = HEADER + "ann,\"['a, b', 'c']\",d,\"[1, 2]\",3\n" + 'ann,"[]",e,"[1, 2, 3]",4\n'
TEST = HEADER + 'bob,"[]",f,[9],1\n' + 'ann,"[]",f,"[3, 4]",1\n' + 'ann,"[]",f,"[4, 1, 5]",6\n'
COLUMNS = "user_id, item_id, timestamp, event"


@pytest.mark.parametrize("packing", PACK)
def test_an_event_stands_in_the_first_row_that_shows_it(tmp_path: Path, packing: str) -> None:
    """Later histories repeat (all, the last, or the last before a gap) what the user's earlier rows said."""
    write(tmp_path / "Shop.test.csv", TEST, packing=packing)
    write(tmp_path / "Shop.valid.csv", VALID, packing=packing)
    source = NextItemRows(tmp_path)
    assert [path.name for path in source.files()] == [f"Shop.{part}.csv{packing}" for part in ("valid", "test")]
    assert Loaded(source).events(COLUMNS) == [
        *(("ann", "1", 0, "history"), ("ann", "2", 1, "history"), ("ann", "3", 59, "next")),
        ("ann", "4", 60 + 59, "next"),
        *(("bob", "9", 120, "history"), ("bob", "1", 120 + 59, "next")),
        ("ann", "1", 180 + 59, "next"),
        *(("ann", "5", 240, "history"), ("ann", "6", 240 + 59, "next")),
    ]


def test_a_long_history_stays_in_its_minute(tmp_path: Path) -> None:
    path = write(tmp_path / "test.csv", HEADER + f'ann,"[]",f,"{list(range(100))}",100\n')
    times = [time for (time,) in Loaded(NextItemRows(path)).events("timestamp")]
    assert times == sorted(times)
    assert times[-2:] == [58, 59]


def test_items_lose_their_html_and_are_announced_from_the_start(tmp_path: Path) -> None:
    described = {
        "1": {"title": "Paper, 8.5&rdquo;", "description": "['<b>White</b> paper', 'It&#39;s thin']", "brand": "Acme"},
        "2": {"title": "[sic", "description": ["plain", "list"], "categories": "pens"},
    }
    items = write(tmp_path / "item.json", json.dumps(described), packing=".gz")
    loaded = Loaded(NextItemRows(write(tmp_path / "valid.csv", VALID), items_path=items))
    assert loaded.items("item_id, title, text, brand, category, available_from") == [
        ("1", "Paper, 8.5”", "White paper It's thin", "Acme", "", 0),
        ("2", "[sic", "plain list", "", "pens", 0),
    ]


def test_errors_name_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"train\.csv"):
        NextItemRows(tmp_path).files()
    path = write(tmp_path / "valid.csv", HEADER)
    with pytest.raises(EmptyDataError, match="no row below the header"):
        Loaded(NextItemRows(path))
    write(path, "user_id,item_id\nann,1\n")
    with pytest.raises(SchemaError, match=r"columns \['history_item_id'\] are missing"):
        Loaded(NextItemRows(path))
    for row in ("ann,,,nothing,1", "ann,,,[1],", "ann,,,{1: 2},3"):
        write(path, f"{HEADER}{row}\n")
        with pytest.raises(SchemaError, match="line 2 has no user, list of items and next item"):
            Loaded(NextItemRows(path))
    write(path, VALID)
    for text, message in (("{", "is no JSON"), ('{"5": 1}', "no object of item id")):
        items = write(tmp_path / "item.json", text)
        with pytest.raises((SourceError, SchemaError), match=rf"data\.items_path: .*{message}"):
            Loaded(NextItemRows(path, items_path=items))


def test_real_amazon_office() -> None:
    """4,866 rows each in the valid and the test file; the catalogue names 3,459 items."""
    folder = real_data("amazon-office")
    loaded = Loaded(NextItemRows(folder, items_path=folder / "Office_Products.item.json.gz"))
    assert loaded.query("SELECT count(*) FROM events WHERE event = 'next'") == [(9_732,)]
    assert loaded.query("SELECT count(*) FROM raw_items WHERE title <> ''") == [(3_459,)]
    before = "SELECT item_id FROM events WHERE timestamp < 4866 * 60"
    cold = f"SELECT count(*) FROM events WHERE timestamp >= 4866 * 60 AND event = 'next' AND item_id NOT IN ({before})"
    assert loaded.query(cold) == [(422,)]
