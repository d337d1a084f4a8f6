"""What is read back from a prepared folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys_lab.data.dataset import Dataset
from recsys_lab.data.prepare import prepare
from recsys_lab.errors import DataError
from tests.data.literal import Rows, prepared

EVENTS = [("u", "A", 1, "view"), ("v", "B", 2, "purchase"), ("w", "A", 3, "view")]


def test_arrays_have_the_types_that_the_log_promises(tmp_path: Path) -> None:
    log = prepared(tmp_path, EVENTS).log
    types = {name: getattr(log, name).dtype for name in ("users", "items", "times", "events", "values", "weights")}
    assert types == {"users": "i4", "items": "i4", "times": "i8", "events": "i1", "values": "f4", "weights": "f4"}
    assert (log.sessions.dtype, log.baskets.dtype, log.attributes.dtype) == ("i4", "i4", "i4")
    assert log.values.tolist() == [1, 1, 1]


def test_user_attributes_become_codes_with_unknown_first(tmp_path: Path) -> None:
    users = pd.DataFrame({"user_id": ["w", "u", "nobody"], "country": ["SE", "DE", "FR"], "age": [30, 40, 50]})
    dataset = prepared(tmp_path, EVENTS, users=users)
    assert dataset.user_ids.tolist() == ["u", "v", "w"]
    assert dataset.log.attribute_names == (("country", ("", "DE", "SE")), ("age", ("", "30", "40")))
    assert dataset.log.attributes.tolist() == [[1, 2], [0, 0], [2, 1]]


def test_an_attribute_with_more_than_a_thousand_values_is_left_out(tmp_path: Path) -> None:
    ids = [f"user-{number:04}" for number in range(1001)]
    users = pd.DataFrame({"user_id": ids, "phone": ids, "group": [str(number % 2) for number in range(1001)]})
    events = [(user, "A", time) for time, user in enumerate(ids)]
    dataset = prepared(tmp_path, events, users=users)
    assert dataset.log.attribute_names == (("group", ("", "0", "1")),)
    assert prepared(tmp_path, events[:1000], users=users).log.attribute_names[0][0] == "phone"


def test_data_without_user_attributes_have_none(tmp_path: Path) -> None:
    dataset = prepared(tmp_path, EVENTS)
    assert dataset.log.attributes.shape == (3, 0)
    assert dataset.log.attribute_names == ()


def test_columns_that_the_log_knows_better_are_not_taken_from_the_catalogue(tmp_path: Path) -> None:
    items = pd.DataFrame({"item_id": ["A"], "first_seen": [99], "n_events": [99], "colour": ["red"]})
    dataset = prepared(tmp_path, EVENTS, items=items)
    np.testing.assert_array_equal(dataset.catalogue.numbers("first_seen"), [1, 2])
    assert dataset.catalogue.strings("colour").tolist() == ["red", ""]


def test_data_without_a_clock_say_so(tmp_path: Path) -> None:
    class Ordered(Rows):
        order_only = True

    assert prepare(Ordered(EVENTS), root=tmp_path).order_only
    assert not prepared(tmp_path, EVENTS[:2]).order_only


def test_another_folder_a_damaged_one_and_another_version_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no dataset\.json here"):
        Dataset.load(tmp_path)
    dataset = prepared(tmp_path, EVENTS)
    described = dataset.folder / "dataset.json"
    described.write_text(described.read_text().replace('"format": 1', '"format": 99'))
    with pytest.raises(DataError, match="is of another version"):
        Dataset.load(dataset.folder)
    described.write_text("{")
    with pytest.raises(DataError, match="is damaged"):
        Dataset.load(dataset.folder)


@pytest.mark.parametrize("name", ["log", "items", "users"])
def test_a_damaged_and_a_missing_table_are_told(tmp_path: Path, name: str) -> None:
    dataset = prepared(tmp_path, EVENTS)
    path = dataset.folder / f"{name}.parquet"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=rf"is damaged .*{name}\.parquet.*prepare again"):
        Dataset.load(dataset.folder)
    path.unlink()
    with pytest.raises(DataError, match=rf"is damaged .*{name}\.parquet.*prepare again"):
        Dataset.load(dataset.folder)
