"""The protocols of published tables, on literal logs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recsys_lab.data.published import LeaveOneOut, Predefined
from recsys_lab.errors import SplitError

EVENTS = [
    ("u1", 1, "A"),
    ("u1", 2, "B"),
    ("u1", 3, "C"),
    ("u2", 1, "B"),
    ("u2", 5, "A"),
    ("u3", 1, "A"),
    ("u3", 2, "C"),
    ("u3", 3, "B"),
    ("u3", 3, "D"),
]


def test_the_last_event_tests_and_the_one_before_validates(make_dataset):
    split = LeaveOneOut().split(make_dataset(EVENTS, order_only=True))
    assert split.leaks
    assert split.valid is not None
    assert list(split.valid.users) == [0, 2]
    # u1: A | B | C;  u2 too short, only trains;  u3: A, C | B | D, the order of the tie as in the source
    assert len(split.test.train) == len(split.valid.train) == 1 + 2 + 2
    ids = split.test.catalogue.ids
    assert list(ids) == ["A", "B", "C"]
    assert list(ids[split.valid.target_items]) == ["B", "B"]
    assert list(split.test.queries.lengths) == [2, 3]
    # D was never trained on: a miss that counts
    assert list(split.test.n_targets) == [1, 1]
    assert list(np.diff(split.test.target_offsets)) == [1, 0]
    assert split.test.counts["cold_targets"] == 1


def test_refit_also_trains_on_the_validation_events(make_dataset):
    split = LeaveOneOut(refit=True).split(make_dataset(EVENTS))
    assert len(split.test.train) == len(EVENTS) - 2


def test_users_with_two_events_cannot_be_split(make_dataset):
    with pytest.raises(SplitError, match="no user has three events"):
        LeaveOneOut().split(make_dataset(EVENTS[3:5]))


def test_parts_come_from_a_file(make_dataset, tmp_path):
    rows = [("u1", "B", "valid"), ("u1", "C", "test"), ("u3", "C", "test"), ("u3", "B", "test"), ("u9", "A", "test")]
    path = tmp_path / "parts.csv"
    pd.DataFrame(rows, columns=["user_id", "item_id", "part"]).to_csv(path, index=False)
    split = Predefined(path=str(path)).split(make_dataset(EVENTS))
    assert split.valid is not None
    assert list(split.test.users) == [0, 2]
    assert list(split.test.queries.lengths) == [2, 1]
    assert list(split.test.n_targets) == [1, 2]
    assert len(split.test.train) == len(EVENTS) - 4
    assert len(Predefined(path=str(path), refit=True).split(make_dataset(EVENTS)).test.train) == len(EVENTS) - 3


def test_ids_of_the_file_are_taken_as_written(make_dataset, tmp_path):
    events = [("007", 1, "1.0"), ("007", 2, "NA"), ("7", 1, "1.0"), ("7", 2, "NA")]
    path = tmp_path / "parts.csv"
    path.write_text("user_id,item_id,part\n007,NA,test\n")
    split = Predefined(path=str(path), cold_items="drop").split(make_dataset(events))
    assert list(split.test.users) == [0]
    assert len(split.test.train) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is no file"),
        ("user_id,item_id\nu1,A\n", r"lacks \['part'\]"),
        ("user_id,item_id,part\nu1,A,dev\n", r"\['dev'\] are none of"),
        ("user_id,item_id,part\nu1,A,valid\n", "names no test event"),
        ("user_id,item_id,timestamp,part\nu1,A,1,test\nu1,B,1970-01-02,test\n", "timestamp '1970-01-02'; write epoch"),
        ("", r"parts\.csv cannot be read"),
        ("\udcff\udcfe", r"parts\.csv cannot be read"),
    ],
)
def test_unusable_files_say_why(make_dataset, tmp_path, content, message):
    path = tmp_path / "parts.csv"
    if content is not None:
        path.write_text(content, errors="surrogateescape")
    with pytest.raises(SplitError, match=message):
        Predefined(path=str(path)).split(make_dataset(EVENTS))


def test_parts_may_be_parquet(make_dataset, tmp_path):
    path = tmp_path / "parts.pq"
    times = pd.to_datetime([1, 3], unit="s")
    parts = pd.DataFrame({"user_id": ["u1", "u3"], "item_id": ["A", "B"], "timestamp": times, "part": "test"})
    parts.to_parquet(path)
    with pytest.raises(SplitError, match="timestamp '1970-01-01 00:00:01'; write epoch seconds"):
        Predefined(path=str(path)).split(make_dataset(EVENTS))
    for seconds in ([1, 3], ["1", "3"]):
        parts.assign(timestamp=seconds).to_parquet(path)
        assert list(Predefined(path=str(path)).split(make_dataset(EVENTS)).test.users) == [2]
