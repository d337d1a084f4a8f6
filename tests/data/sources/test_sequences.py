import json
from pathlib import Path

import pytest

from recsys_lab.data.sources.sequences import Sequences
from recsys_lab.errors import EmptyDataError, SchemaError, SourceError
from tests.data.sources.reading import PACK, Loaded, real_data, write

LINES = "ann 5 7  5\n\nbob\t9 \ncy\n"
EVENTS = [("ann", "5", 0), ("ann", "7", 1), ("ann", "5", 2), ("bob", "9", 0)]


@pytest.mark.parametrize("packing", PACK)
def test_time_is_the_position_in_the_line(tmp_path: Path, packing: str) -> None:
    loaded = Loaded(Sequences(write(tmp_path / "log.txt", LINES, packing=packing)))
    assert loaded.events("user_id, item_id, timestamp") == EVENTS
    assert Sequences.order_only
    windows = write(tmp_path / "windows.txt", LINES.replace("\n", "\r\n"), packing=packing)
    assert Loaded(Sequences(windows)).events("user_id, item_id, timestamp") == EVENTS
    assert "raw_items" not in loaded.tables()


@pytest.mark.parametrize("packing", PACK)
def test_attributes_become_words(tmp_path: Path, packing: str) -> None:
    attributes = write(tmp_path / "attributes.json", json.dumps({"5": [1, 2], "7": []}), packing=packing)
    source = Sequences(write(tmp_path / "log.txt", LINES), attributes_path=attributes)
    assert Loaded(source).items("item_id, text") == [("5", "attribute_1 attribute_2"), ("7", "")]
    assert [path.name for path in source.files()] == ["log.txt", f"attributes.json{packing}"]


def test_errors_name_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"ends with \.txt"):
        Sequences(tmp_path).files()
    path = write(tmp_path / "log.txt", "")
    with pytest.raises(EmptyDataError, match=r"log\.txt"):
        Loaded(Sequences(path))
    write(path, "1,2,3\n4,5,6\n")
    with pytest.raises(EmptyDataError, match="no line holds an item after the user id"):
        Loaded(Sequences(path))
    write(path, "ann 1 2\nbob 3\nann 4\n")
    with pytest.raises(SchemaError, match="user 'ann' has several lines"):
        Loaded(Sequences(path))
    write(path, LINES)
    with pytest.raises(SourceError, match=r"data\.attributes_path: .*gone\.json does not exist"):
        Sequences(path, attributes_path=tmp_path / "gone.json").files()
    for text, message in (("{", "is no JSON"), ('{"5": 1}', "no object of item id")):
        attributes = write(tmp_path / "attributes.json", text)
        with pytest.raises((SourceError, SchemaError), match=rf"data\.attributes_path: .*{message}"):
            Loaded(Sequences(path, attributes_path=attributes))
    write(tmp_path / "more.txt", LINES)
    with pytest.raises(SourceError, match=r"holds log\.txt, more\.txt"):
        Sequences(tmp_path).files()


def test_real_amazon_beauty() -> None:
    folder = real_data("amazon-beauty")
    loaded = Loaded(Sequences(folder, attributes_path=folder / "Beauty_item2attributes.json.gz"))
    counts = "SELECT count(*), count(DISTINCT user_id), count(DISTINCT item_id) FROM raw_events"
    assert loaded.query(counts) == [(198_502, 22_363, 12_101)]
    assert loaded.events("user_id, item_id, timestamp")[4:6] == [("1", "5", 4), ("2", "6", 0)]
    assert loaded.query("SELECT text FROM raw_items WHERE item_id = '4'") == [("attribute_1 attribute_2 attribute_3",)]
