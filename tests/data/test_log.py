"""Loose arrays become a log, in order, or are refused with what is wrong."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError, SchemaError

USERS, ITEMS, TIMES = np.array([1, 0, 1]), np.array([2, 0, 1]), np.array([20, 5, 10])


def test_events_are_ordered_by_user_and_time() -> None:
    log = InteractionLog.from_events(USERS, ITEMS, TIMES)
    assert (log.users.tolist(), log.items.tolist(), log.times.tolist()) == ([0, 1, 1], [0, 1, 2], [5, 10, 20])
    assert (log.n_users, log.n_items) == (2, 3)


def test_columns_of_a_table_are_taken_as_they_stand() -> None:
    """Whatever the labels of their rows are."""
    table = pd.DataFrame({"user": USERS, "item": ITEMS, "time": TIMES}, index=[2, 0, 1])
    log = InteractionLog.from_events(table["user"], table["item"], table["time"])
    assert log.items.tolist() == [0, 1, 2]


def test_weights_that_leave_nothing_are_refused() -> None:
    log = InteractionLog.from_events(USERS, ITEMS, TIMES, weights=np.zeros(3, np.float32))
    with pytest.raises(ConfigError, match="counts: weight leaves nothing"):
        log.matrix("weight")
    assert log.matrix("sum").sum() == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"items": ITEMS[:2]}, "log: 3 users, 2 items, 3 times"),
        ({"items": ITEMS - 1}, "log: items have codes -1 to 1; they must lie from 0 to 1"),
        ({"n_items": 2}, "log: items have codes 0 to 2; they must lie from 0 to 1"),
        ({"n_users": 1}, "log: users have codes 0 to 1; they must lie from 0 to 0"),
        ({"users": np.array(["ann", "bob", "ann"])}, "log: users are <U3, no codes"),
        ({"items": ITEMS / 2}, "log: items are float64, no codes"),
        ({"times": pd.to_datetime(TIMES, unit="s")}, r"log: times are datetime64.*; give epoch seconds"),
    ],
)
def test_what_is_no_log_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        InteractionLog.from_events(**{"users": USERS, "items": ITEMS, "times": TIMES, **changes})
