"""Your own log as text: what is read, and what each kind of bad file is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from recsys_lab.data.cleaning import Cleaning
from recsys_lab.data.prepare import prepare
from recsys_lab.data.sources.csv import Csv
from recsys_lab.errors import ConfigError, DataError, EmptyDataError, SchemaError, SourceError
from tests.data.literal import table
from tests.data.sources.reading import Loaded, write

LOG = "user_id,item_id,timestamp,event,value\nu,A,100,view,1\n v ,B,200,cart,2.5\n,C,300,,\n"


@pytest.mark.parametrize("packing", ["", ".gz", ".zst"])
def test_standard_columns_are_read_packed_or_not(tmp_path: Path, packing: str) -> None:
    loaded = Loaded(Csv(write(tmp_path / "log.csv", LOG, packing=packing)))
    assert loaded.events("row_id, user_id, item_id, timestamp, event, value") == [
        (0, "u", "A", 100, "view", 1.0),
        (1, "v", "B", 200, "cart", 2.5),
        (2, None, "C", 300, None, None),
    ]


def test_a_mapping_renames_columns_and_a_constant_is_every_row_s_event(tmp_path: Path) -> None:
    log = write(tmp_path / "log.csv", "visitor,sku,at,event\nu,A,100,whatever\n")
    mapping = {"user_id": "visitor", "item_id": "sku", "timestamp": "at"}
    assert Loaded(Csv(log, mapping=mapping, event="purchase")).events("user_id, item_id, timestamp, event") == [
        ("u", "A", 100, "purchase")
    ]


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_the_delimiter_is_found_out(tmp_path: Path, delimiter: str) -> None:
    log = write(tmp_path / "log.csv", LOG.replace(",", delimiter))
    assert len(Loaded(Csv(log)).events()) == 3


def test_a_tab_may_be_written_as_the_command_line_can(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", "user_id\titem_id\ttimestamp\nu\tA,B,C,D\t5\n")
    assert Loaded(Csv(path, delimiter="\\t")).events("user_id, item_id") == [("u", "A,B,C,D")]


def test_a_delimiter_of_several_letters_can_be_given(tmp_path: Path) -> None:
    log = write(tmp_path / "log.txt", LOG.replace(",", "::"))
    assert len(Loaded(Csv(log, delimiter="::")).events()) == 3


def test_quotes_line_breaks_byte_order_marks_and_hashes_are_text(tmp_path: Path) -> None:
    log = write(tmp_path / "log.csv", '\ufeffuser_id,item_id,timestamp\r\nu,"#1 ""red"",\r\nbig",5\r\n#v,B,6')
    assert Loaded(Csv(log)).events("user_id, item_id, timestamp") == [("u", '#1 "red",\r\nbig', 5), ("#v", "B", 6)]


def test_another_encoding_can_be_given(tmp_path: Path) -> None:
    log = write(tmp_path / "log.csv", "user_id,item_id,timestamp\nzoë,A,5\n", encoding="latin-1")
    assert Loaded(Csv(log, encoding="latin-1")).events("user_id") == [("zoë",)]
    with pytest.raises(SourceError, match="not utf-8 encoded"):
        Loaded(Csv(log))
    with pytest.raises(SourceError, match=r"data\.encoding: 'klingon' is unknown"):
        Loaded(Csv(log, encoding="klingon"))


def test_the_files_of_a_folder_are_read_in_order_of_their_names(tmp_path: Path) -> None:
    header = "user_id,item_id,timestamp\n"
    write(tmp_path / "b.csv", f"{header}v,B,2\n", packing=".gz")
    write(tmp_path / "a.csv", f"{header}u,A,1\n")
    write(tmp_path / "notes.md", "not read")
    assert Loaded(Csv(tmp_path)).events("row_id, user_id") == [(0, "u"), (1, "v")]


def test_a_folder_s_name_says_nothing_about_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "timestamp=2024-01-01"
    folder.mkdir()
    write(folder / "log.csv", "user_id,item_id,timestamp\nu,A,5\n")
    assert Loaded(Csv(folder)).events("user_id, timestamp") == [("u", 5)]


def test_files_with_different_headers_are_refused(tmp_path: Path) -> None:
    """Rows are read by position, so users would become items."""
    write(tmp_path / "a.csv", "user_id,item_id,timestamp\nu,A,1\n")
    write(tmp_path / "b.csv", "item_id,user_id,timestamp\nB,v,2\n")
    with pytest.raises(SchemaError, match=r"b\.csv: its columns are \['item_id', 'user_id', 'timestamp'\]"):
        Loaded(Csv(tmp_path))


@pytest.mark.parametrize(
    "text",
    [
        "1704157445",
        "1704157445.9",
        "1.704157445e9",
        "1704157445000",
        "1704157445000000",
        "1704157445000000000",
        "2024-01-02T01:04:05Z",
        "2024-01-02 01:04:05",
        "2024-01-02T03:04:05.678+02:00",
    ],
)
def test_epoch_numbers_and_iso_times_are_understood(tmp_path: Path, text: str) -> None:
    log = write(tmp_path / "log.csv", f"user_id,item_id,timestamp\nu,A,{text}\n")
    assert Loaded(Csv(log)).events("timestamp") == [(1704157445,)]


def test_another_time_format_can_be_given(tmp_path: Path) -> None:
    log = write(tmp_path / "log.csv", "user_id,item_id,timestamp\nu,A,2/1/2024 01:04\n")
    assert Loaded(Csv(log, time_format="%d/%m/%Y %H:%M")).events("timestamp") == [(1704157440,)]


def test_items_and_users_keep_their_own_columns(tmp_path: Path) -> None:
    log = write(tmp_path / "log.csv", "user_id,item_id,timestamp\nu,A,5\n")
    items = write(tmp_path / "items.csv", "sku,name,price,available_from,colour\nA,Apple,1.5,1970-01-02,red\nB,,x,,\n")
    users = write(tmp_path / "users.csv", "who,country\nu,DE\n")
    source = Csv(
        log,
        items_path=items,
        users_path=users,
        items_mapping={"item_id": "sku", "title": "name"},
        users_mapping={"user_id": "who"},
    )
    loaded = Loaded(source)
    assert loaded.items("item_id, title, price, available_from, colour") == [
        ("A", "Apple", 1.5, 86400, "red"),
        ("B", None, None, None, None),
    ]
    dataset = prepare(source, root=tmp_path / "prepared")
    assert dataset.log.attribute_names == (("country", ("", "DE")),)
    assert list(dataset.lineage.files) == ["log.csv", "items.csv", "users.csv"]
    assert table(dataset) == [("u", "A", 5)]


HEADER = "user_id,item_id,timestamp\n"


@pytest.mark.parametrize(
    ("text", "settings", "error", "message"),
    [
        ("", {}, EmptyDataError, "log.csv: the file is empty"),
        (HEADER, {}, EmptyDataError, "log.csv: there is no row below the header"),
        (
            "user,item_id,timestamp\nu,A,5\n",
            {},
            SchemaError,
            "log.csv: column 'user_id' is missing; it has user, item_id, timestamp: say which one is the user_id "
            "with +data.mapping.user_id=…",
        ),
        (f"{HEADER}u,A,5\n", {"mapping": {"value": "qty"}}, SchemaError, "column 'qty' is missing"),
        (f"{HEADER}u,A,5\n", {"mapping": {"sku": "item_id"}}, SchemaError, "data.mapping: 'sku' is no standard column"),
        ("user_id,item_id,item_id\nu,A,5\n", {}, SchemaError, "two columns are called 'item_id'"),
        ("user_id,item_id,Item_ID\nu,A,5\n", {}, SchemaError, "two columns are called 'item_id'"),
        (
            f"{HEADER}u,A,5\nu,B,soon\nu,C,later\n",
            {},
            SchemaError,
            "log.csv: 2 of 3 times cannot be read, the first is 'soon'; give data.time_format",
        ),
        (
            "user_id,item_id,timestamp,value\nu,A,5,\nu,B,5,'4,5'\n".replace("'", '"'),
            {},
            SchemaError,
            "log.csv: no value can be read, the first is '4,5'; write it as 12.50",
        ),
        (f"{HEADER}u,A,5\nu,B\n", {}, SourceError, "CSV Error on Line: 3 Original Line: u,B"),
        (f'{HEADER}u,"A,5\nu,B,6\n', {}, SourceError, "log.csv: cannot be read"),
    ],
)
def test_each_kind_of_bad_file_is_told_what_is_wrong(
    tmp_path: Path, text: str, settings: dict, error: type[DataError], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        Loaded(Csv(write(tmp_path / "log.csv", text), **settings))


@pytest.mark.parametrize(
    ("price", "date", "message"),
    [
        ("$3", "31/01/2024", "items.csv: no price can be read, the first is '$3'; write it as 12.50"),
        ("3", "2024-01-31", "no available_from can be read, the first is '2024-01-31'; write it as %d/%m/%Y"),
    ],
)
def test_a_catalogue_s_column_of_which_nothing_can_be_read_is_refused(
    tmp_path: Path, price: str, date: str, message: str
) -> None:
    log = write(tmp_path / "log.csv", "user_id,item_id,timestamp\nu,A,31/01/2024\n")
    items = write(tmp_path / "items.csv", f"item_id,price,available_from\nA,,\nB,{price},{date}\nC,unknown,soon\n")
    with pytest.raises(SchemaError, match=re.escape(message)):
        Loaded(Csv(log, items_path=items, time_format="%d/%m/%Y"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "data.path: not set"),
        ({"path": "/nowhere/log.csv"}, "data.path: /nowhere/log.csv does not exist"),
        ({"items_path": "/nowhere/items.csv"}, "data.items_path: /nowhere/items.csv does not exist"),
    ],
)
def test_a_wrong_path_is_named(tmp_path: Path, settings: dict, message: str) -> None:
    given = {"path": write(tmp_path / "log.csv", LOG), **settings} if "items_path" in settings else settings
    with pytest.raises(SourceError, match=re.escape(message)):
        prepare(Csv(**given), root=tmp_path)


@pytest.mark.parametrize("kind", ["items", "users"])
def test_a_mapping_of_no_file_is_refused(kind: str) -> None:
    with pytest.raises(ConfigError, match=f"data.{kind}_mapping: of no file; give .* data.{kind}_path="):
        Csv("log.csv", **{f"{kind}_mapping": {"item_id": "sku"}})


def test_a_folder_without_such_files_and_a_broken_archive_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no file in .* ends with \.csv or"):
        Loaded(Csv(tmp_path))
    (tmp_path / "log.csv.gz").write_text(LOG)
    with pytest.raises(SourceError, match=r"log\.csv\.gz: cannot be read"):
        Loaded(Csv(tmp_path))


def test_a_few_spoilt_times_in_a_large_file_are_dropped_and_counted(tmp_path: Path) -> None:
    rows = "".join(f"u,A{number},{number}\n" for number in range(300))
    dataset = prepare(Csv(write(tmp_path / "log.csv", f"{HEADER}u,B,soon\n{rows}")), root=tmp_path / "prepared")
    assert {step.name: step.dropped for step in dataset.lineage.steps if step.dropped} == {"times": 1}


def test_what_is_no_finite_number_is_no_value(tmp_path: Path) -> None:
    cells = ("nan", "inf", "1e300", "x", "", "4.1", "3")
    rows = "".join(f"u,{item},{item},{cell}\n" for item, cell in enumerate(cells))
    source = Csv(write(tmp_path / "log.csv", "user_id,item_id,timestamp,value\n" + rows))
    assert [value for (value,) in Loaded(source).events("value")] == [None, None, None, None, None, 4.1, 3.0]
    dataset = prepare(source, Cleaning(min_value=4.1), root=tmp_path / "prepared")
    assert table(dataset) == [("u", "5", 5)]


def test_an_item_that_stands_in_the_catalogue_twice_is_named(tmp_path: Path) -> None:
    items = write(tmp_path / "items.csv", "item_id,title\nA,one\nB,two\n A,three\n")
    source = Csv(write(tmp_path / "log.csv", LOG), items_path=items)
    with pytest.raises(SchemaError, match="item_id 'A' stands 2 times in raw_items"):
        prepare(source, root=tmp_path / "prepared")
