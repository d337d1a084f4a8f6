"""Splits of the seven-row table in the docstring of recsys_lab.data.split, answers by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_lab.data.audit import audit
from recsys_lab.data.fold import Fold
from recsys_lab.data.lineage import LineageStep
from recsys_lab.data.split import TimeSplit
from recsys_lab.errors import ConfigError, LeakError, SplitError

SEVEN_ROWS = [
    ("u1", 1, "A"),
    ("u2", 2, "A"),
    ("u1", 4, "B"),
    ("u1", 6, "C"),
    ("u2", 7, "B"),
    ("u3", 8, "A"),
    ("u1", 9, "D"),
]


def at(cutoff: int) -> str:
    return f"1970-01-01T00:00:{cutoff:02d}"


def asked(fold: Fold, user: int) -> dict[str, list[str]]:
    """History and targets of the user's first query, as ids."""
    row = int(np.flatnonzero(fold.users == user)[0])
    ids = fold.catalogue.ids
    history = fold.queries.items[fold.queries.offsets[row] : fold.queries.offsets[row + 1]]
    targets = fold.target_items[fold.target_offsets[row] : fold.target_offsets[row + 1]]
    return {"history": list(ids[history]), "targets": sorted(ids[targets])}


def test_window_asks_about_everything_after_the_cutoff(make_dataset):
    split = TimeSplit(cutoff=at(5), window=4, valid_window=None, cold_items="miss", cold_users="keep")
    fold = split.split(make_dataset(SEVEN_ROWS)).test
    assert list(fold.catalogue.ids) == ["A", "B"]
    assert len(fold.train) == 3
    assert asked(fold, 0) == {"history": ["A", "B"], "targets": []}
    assert asked(fold, 1) == {"history": ["A"], "targets": ["B"]}
    assert asked(fold, 2) == {"history": [], "targets": ["A"]}
    assert list(fold.n_targets) == [1, 1, 1]
    assert list(fold.queries.now) == [5, 5, 5]
    assert list(fold.target_times) == [6, 7, 8]
    assert fold.counts["cold_targets"] == 1
    assert fold.counts["cold_users"] == 1


def test_cold_items_and_users_can_be_dropped(make_dataset):
    fold = TimeSplit(cutoff=at(5), window=4, valid_window=None).split(make_dataset(SEVEN_ROWS)).test
    assert list(fold.users) == [1]


def test_an_announced_item_is_no_cold_item(make_dataset):
    dataset = make_dataset(SEVEN_ROWS, available_from={"C": 3, "D": 8})
    fold = TimeSplit(cutoff=at(5), valid_window=None).split(dataset).test
    assert list(fold.catalogue.ids) == ["A", "B", "C"]
    assert asked(fold, 0)["targets"] == ["C"]


def test_codes_of_announced_items_do_not_tell_what_comes(make_dataset):
    """The data set's codes follow first events; here B is asked for next, but C was announced first."""
    dataset = make_dataset([("u1", 1, "D"), ("u1", 6, "A"), ("u2", 7, "B")], available_from={"C": 2, "A": 3, "B": 3})
    fold = TimeSplit(cutoff=at(5), valid_window=None).split(dataset).test
    assert list(fold.catalogue.ids) == ["D", "C", "A", "B"]
    assert asked(fold, 0)["targets"] == ["A"]


def test_cold_targets_can_be_announced(make_dataset):
    """C is the only later target that has no training event; D lies outside the window. The audit says so."""
    dataset = make_dataset(SEVEN_ROWS)
    policy = {"cutoff": at(5), "window": 4, "valid_window": None, "cold_items": "announce"}
    split = TimeSplit(**policy).split(dataset)
    assert list(split.test.catalogue.ids) == ["A", "B", "C"]
    assert asked(split.test, 0) == {"history": ["A", "B"], "targets": ["C"]}
    with pytest.raises(LeakError, match="vocabulary-from-the-past"):
        audit(dataset, split).require()
    audit(dataset, TimeSplit(**policy, allow=("vocabulary-from-the-past",)).split(dataset)).require()


def test_next_takes_the_first_second_only(make_dataset):
    events = [("u1", 1, "A"), ("u1", 2, "B"), ("u2", 3, "C"), ("u1", 6, "C"), ("u1", 6, "B"), ("u1", 7, "A")]
    split = TimeSplit(cutoff=at(5), valid_window=None, targets="next", exclude_seen=False)
    assert asked(split.split(make_dataset(events)).test, 0)["targets"] == ["B", "C"]


def test_successive_asks_each_second_from_what_was_before_it(make_dataset):
    events = [("u1", 1, "A"), ("u2", 1, "B"), ("u2", 2, "C"), ("u1", 6, "B"), ("u1", 6, "C"), ("u1", 8, "A")]
    split = TimeSplit(cutoff=at(5), valid_window=None, targets="successive", exclude_seen=False)
    fold = split.split(make_dataset(events)).test
    assert list(fold.queries.now) == [6, 8]
    assert list(fold.queries.lengths) == [1, 3]
    assert list(np.diff(fold.target_offsets)) == [2, 1]


def test_seen_targets_leave_when_seen_items_are_excluded(make_dataset):
    events = [("u1", 1, "A"), ("u2", 1, "B"), ("u1", 6, "A"), ("u1", 7, "B"), ("u2", 7, "B")]
    dataset = make_dataset(events)
    fold = TimeSplit(cutoff=at(5), valid_window=None).split(dataset).test
    assert list(fold.users) == [0]
    assert asked(fold, 0)["targets"] == ["B"]
    assert fold.counts["targets_dropped_seen"] == 2
    repeats = TimeSplit(cutoff=at(5), valid_window=None, exclude_seen=False).split(dataset).test
    assert asked(repeats, 0)["targets"] == ["A", "B"]


def test_only_the_wanted_events_are_targets(make_dataset):
    events = [("u1", 1, "A"), ("u2", 2, "B"), ("u1", 6, "B"), ("u2", 6, "A")]
    dataset = make_dataset(events, kinds=["view", "purchase", "view", "purchase"])
    fold = TimeSplit(cutoff=at(5), valid_window=None, target_events=("purchase",)).split(dataset).test
    assert list(fold.users) == [1]
    with pytest.raises(ConfigError, match="no event \\['order'\\] here; there are \\['purchase', 'view'\\]"):
        TimeSplit(cutoff=at(5), valid_window=None, target_events=("order",)).split(dataset)


def test_validation_lies_before_the_test_and_refit_moves_the_training_end(make_dataset):
    dataset = make_dataset([("u1", 1, "A"), ("u2", 2, "B"), ("u1", 4, "B"), ("u2", 6, "A"), ("u1", 8, "A")])
    settings = {"cutoff": at(5), "valid_window": 2, "exclude_seen": False}
    split = TimeSplit(**settings).split(dataset)
    assert split.valid is not None
    assert split.valid.train.times.max() == 2
    assert list(split.valid.target_times) == [4]
    assert split.test.train.times.max() == 4
    frozen = TimeSplit(**settings, refit=False).split(dataset).test
    assert frozen.train.times.max() == 2
    assert asked(frozen, 0)["history"] == ["A", "B"]  # what the user did later is still known at request time


def test_attribute_values_of_the_future_are_unknown(make_dataset):
    dataset = make_dataset(SEVEN_ROWS, attributes={"u1": "France", "u2": "Spain", "u3": "Peru"})
    fold = TimeSplit(cutoff=at(5), valid_window=None, cold_users="keep").split(dataset).test
    assert fold.train.attribute_names == (("country", ("", "France", "Spain")),)
    assert list(fold.queries.attributes[:, 0]) == [2, 0]


def test_the_fingerprint_knows_settings_and_data(make_dataset):
    dataset = make_dataset(SEVEN_ROWS)
    settings = {"window": 4, "valid_window": None}
    first = TimeSplit(cutoff=at(5), **settings).split(dataset).fingerprint
    assert first == TimeSplit(cutoff=at(5), **settings).split(dataset).fingerprint
    assert first != TimeSplit(cutoff=at(5), **settings, exclude_seen=False).split(dataset).fingerprint


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cutoff": "1999-01-01"}, "outside the log"),
        ({"cutoff": "soon"}, "write a date"),
        ({"cutoff": at(5), "window": "soon"}, "split.window: 'soon' is no duration"),
        ({"cutoff": at(5), "valid_window": "1w"}, "leaves no training event"),
        ({"cutoff": at(5), "valid_window": None, "window": 1}, "no target event"),
        ({"cutoff": at(5), "targets": "all"}, "split.targets: 'all' is none of window, next, successive"),
        ({"cutoff": at(5), "cold_items": "maybe"}, "split.cold_items"),
    ],
)
def test_settings_that_cannot_work_say_so(make_dataset, settings, message):
    with pytest.raises((ConfigError, SplitError), match=message):
        TimeSplit(**settings).split(make_dataset(SEVEN_ROWS))


def test_data_without_a_clock_are_refused(make_dataset):
    dataset = make_dataset(SEVEN_ROWS, order_only=True, steps=(LineageStep("x", "", 7, 7),))
    with pytest.raises(SplitError, match="use split=leave_one_out"):
        TimeSplit(cutoff=at(5)).split(dataset)


events = st.lists(
    st.tuples(st.sampled_from(["u1", "u2", "u3", "u4"]), st.integers(0, 30), st.sampled_from("ABCDEF")),
    min_size=4,
    max_size=40,
)


@given(events, st.integers(1, 30), st.sampled_from(["window", "next", "successive"]), st.booleans())
def test_nothing_of_the_future_is_ever_known(make_dataset, rows, cutoff, targets, exclude_seen):
    split = TimeSplit(cutoff=at(cutoff), valid_window=None, targets=targets, exclude_seen=exclude_seen)
    try:
        fold = split.split(make_dataset(rows)).test
    except SplitError:
        return
    assert fold.train.times.max() < cutoff <= fold.target_times.min()
    early = {item for _, time, item in rows if time < cutoff}
    assert set(fold.catalogue.ids) == early
    owners = fold.queries.rows
    assert (fold.queries.times < fold.target_times[owners]).all()
    for row in range(len(fold)):
        answers = fold.target_items[fold.target_offsets[row] : fold.target_offsets[row + 1]]
        assert len(set(answers)) == len(answers) == fold.n_targets[row] > 0
        if exclude_seen:
            history = fold.queries.items[fold.queries.offsets[row] : fold.queries.offsets[row + 1]]
            assert not set(history) & set(answers)


def test_what_the_whole_log_says_of_an_item_stays_out_of_the_fold(make_dataset):
    dataset = make_dataset(SEVEN_ROWS)
    dataset.catalogue.frame["first_seen"] = [1.0, 4.0, 6.0, 9.0]
    fold = TimeSplit(cutoff=at(5), valid_window=None).split(dataset).test
    assert list(fold.catalogue.frame) == ["item_id", "available_from"]
