from pathlib import Path

import pytest

from recsys_lab.data.sources.online_retail import OnlineRetail
from recsys_lab.errors import ConfigError, EmptyDataError, SchemaError, SourceError
from tests.data.sources.reading import PACK, Loaded, real_data, write

SECOND_EDITION = """\
Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country
1,10001,,3,2010-01-01 00:00:00,2.5,,France
2,10001,"LANTERN, RED ",2,2010-01-02 00:00:00,2.0,7,Spain
2,10002a,MUG,1,2010-01-02 00:00:00,4.0,7,Spain
2,POST,POSTAGE,1,2010-01-02 00:00:00,9.0,7,Spain
C3,10001,LANTERN NEW,-2,2010-01-03 00:00:00,2.0,7,Italy
4,10002A,MUG BLUE,5,2010-01-04 00:00:00,3.0,8.0,Italy
5,10002A,MUG BLUE,-1,2010-01-05 00:00:00,3.0,8,Italy
6,10001,LANTERN,1,2010-01-06 00:00:00,0,8,Italy
"""
DAY = 86_400
YEAR_2010 = 1_262_304_000
PURCHASES = [
    ("7", "10001", YEAR_2010 + DAY, "purchase", 2.0),
    ("7", "10002A", YEAR_2010 + DAY, "purchase", 1.0),
    ("8", "10002A", YEAR_2010 + 3 * DAY, "purchase", 5.0),
]


@pytest.mark.parametrize("packing", PACK)
def test_each_rule_drops_its_lines(tmp_path: Path, packing: str) -> None:
    loaded = Loaded(OnlineRetail(write(tmp_path / "retail.csv", SECOND_EDITION, packing=packing)))
    assert loaded.events() == PURCHASES
    assert loaded.events("basket_id") == [("2",), ("2",), ("4",)]
    assert loaded.dropped == {
        "anonymous": 1,
        "not products": 1,
        "cancellations": 1,
        "quantities": 1,
        "free lines": 1,
    }


def test_catalogue_and_users_keep_what_was_seen_first(tmp_path: Path) -> None:
    loaded = Loaded(OnlineRetail(write(tmp_path / "retail.csv", SECOND_EDITION)))
    # The lantern's first price is an anonymous line's, its first description the line after.
    assert loaded.items("item_id, title, price") == [("10001", "LANTERN, RED", 2.5), ("10002A", "MUG", 4.0)]
    assert loaded.users("user_id, country") == [("7", "Spain"), ("8", "Italy")]


def test_first_means_by_time_not_by_row(tmp_path: Path) -> None:
    header, *lines = SECOND_EDITION.splitlines()
    shuffled = "\n".join([header, *reversed(lines)])
    loaded = Loaded(OnlineRetail(write(tmp_path / "retail.csv", shuffled)))
    assert loaded.items("item_id, title, price") == [("10001", "LANTERN, RED", 2.5), ("10002A", "MUG", 4.0)]


def test_cancellations_can_stay_as_events(tmp_path: Path) -> None:
    path = write(tmp_path / "retail.csv", SECOND_EDITION)
    loaded = Loaded(OnlineRetail(path, cancellations="keep"))
    assert set(loaded.events()) == {*PURCHASES, ("7", "10001", YEAR_2010 + 2 * DAY, "cancellation", -2.0)}
    assert "cancellations" not in loaded.dropped
    with pytest.raises(ConfigError, match=r"cancellations.*'undo'.*drop or keep"):
        OnlineRetail(path, cancellations="undo")


def test_first_edition_in_latin_1_with_american_times(tmp_path: Path) -> None:
    text = (
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
        "536365,85123A,£ BOX,6,12/13/2010 8:26,2.55,17850,United Kingdom\n"
    )
    path = write(tmp_path / "data.csv", text, encoding="latin-1")
    loaded = Loaded(OnlineRetail(path, encoding="latin-1"))
    assert loaded.events() == [("17850", "85123A", 1_292_228_760, "purchase", 6.0)]
    assert loaded.items("title") == [("£ BOX",)]
    with pytest.raises(SourceError, match=r"data\.csv: cannot be read.*not utf-8"):
        Loaded(OnlineRetail(path))


def test_time_format_reads_other_times(tmp_path: Path) -> None:
    path = write(tmp_path / "data.csv", SECOND_EDITION.replace("2010-01-0", "2010.01.0"))
    with pytest.raises(SchemaError, match=r"8 of 8 times.*'2010\.01\.01 00:00:00'.*data\.time_format"):
        Loaded(OnlineRetail(path))
    assert Loaded(OnlineRetail(path, time_format="%Y.%m.%d %H:%M:%S")).events() == PURCHASES


def test_errors_name_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"data\.path: not set"):
        OnlineRetail().files()
    with pytest.raises(SourceError, match=r"data\.path: .*nowhere does not exist"):
        OnlineRetail(tmp_path / "nowhere").files()
    with pytest.raises(SourceError, match=r"ends with \.csv or \.csv\.gz"):
        OnlineRetail(tmp_path).files()
    path = write(tmp_path / "data.csv", SECOND_EDITION.replace("Customer ID", "Client"))
    with pytest.raises(SchemaError, match=r"'Customer ID' or 'CustomerID' is missing; it has Invoice, StockCode"):
        Loaded(OnlineRetail(path))
    write(path, SECOND_EDITION.splitlines()[0] + "\n")
    with pytest.raises(EmptyDataError, match="no row"):
        Loaded(OnlineRetail(path))


def test_the_real_log_has_the_queries_an_independent_script_counted() -> None:
    loaded = Loaded(OnlineRetail(real_data("online-retail")))
    assert loaded.count("raw_events") == 748_841
    assert loaded.dropped == {
        "anonymous": 169_221,
        "not products": 2_613,
        "cancellations": 13_178,
        "quantities": 0,
        "free lines": 40,
    }
    cutoff, day = 1_307_059_200, 86_400  # 2011-06-03
    past = f"(SELECT * FROM events WHERE timestamp < {cutoff})"
    window = f"(SELECT * FROM events WHERE timestamp >= {cutoff} AND timestamp < {cutoff + 28 * day})"
    targets = (
        f"SELECT user_id, item_id FROM {window} WHERE user_id IN (SELECT user_id FROM {past})"
        f" AND item_id IN (SELECT item_id FROM {past})"
    )
    unseen = f"{targets} EXCEPT SELECT user_id, item_id FROM {past}"
    assert loaded.query(f"SELECT count(DISTINCT user_id) FROM ({targets})") == [(846,)]
    assert loaded.query(f"SELECT count(DISTINCT user_id) FROM ({unseen})") == [(767,)]
    # Every item sold to a customer is described.
    assert loaded.query("SELECT count(*) FROM events ANTI JOIN raw_items USING (item_id)") == [(0,)]
    assert loaded.query("SELECT count(*) FROM raw_items WHERE title IS NULL OR price IS NULL") == [(0,)]
