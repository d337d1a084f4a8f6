"""RecBole's tables of a log and a catalogue, by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError
from recsys_lab.nn.recbole_tables import events_table, items_table, users_table

LOG = InteractionLog.from_events(np.array([0, 0, 2]), np.array([1, 0, 1]), np.array([5, 6, 1_700_000_000]), n_items=2)
SHELF = Catalogue(
    pd.DataFrame(
        {
            "item_id": ["a", "b", "c"],
            "category": ["x", None, "y"],
            "text": ["Red rose", "a red RED kite", None],
            "price": [1.0, np.nan, 3.0],
        }
    )
)


def test_codes_are_ours_plus_one_and_times_are_places() -> None:
    table = events_table(LOG)
    assert table["user_id"].values.tolist() == [1, 1, 3]
    assert table["item_id"].values.tolist() == [2, 1, 2]
    assert table["timestamp"].values.tolist() == [0, 1, 0]
    assert (table["user_id"].size, table["item_id"].size) == (4, 3)


def test_attributes_of_users_keep_their_codes() -> None:
    log = replace(LOG, attributes=np.array([[2], [0], [1]], np.int32))
    assert users_table(log)["user_attribute_0"].values.tolist() == [0, 2, 0, 1]
    assert users_table(log)["user_attribute_0"].size == 3
    assert list(users_table(LOG)) == ["user_id"]


def test_items_are_described_by_the_usual_columns_or_the_ones_asked_for() -> None:
    table = items_table(SHELF, None)
    assert list(table) == ["item_id", "category", "text"]
    assert (table["category"].values.tolist(), table["category"].size) == ([0, 1, 0, 2], 3)
    words = ["a", "kite", "red", "rose"]
    assert [row.tolist() for row in table["text"].values] == [[0], [3, 4], [1, 3, 3, 2], [0]]
    assert table["text"].size == len(words) + 1
    assert items_table(SHELF, ["price"])["price"].values.tolist() == [2.0, 1.0, 2.0, 3.0]
    assert list(items_table(SHELF, [])) == ["item_id"]
    with pytest.raises(ConfigError, match="item_fields: the catalogue has no 'colour'"):
        items_table(SHELF, ["colour"])
