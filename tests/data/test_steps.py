"""Every cleaning rule on a table that fits the eye; the answers are worked out by hand."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys_lab.data.cleaning import Cleaning
from recsys_lab.data.step import Step
from recsys_lab.data.steps import Attributes, core_steps, entity_steps, filter_steps, key_steps, log_steps
from recsys_lab.errors import ConfigError, EmptyDataError
from tests.data.literal import prepared, table


def drops(dataset) -> dict[str, tuple[int, int]]:
    """Rows in and out of the steps that dropped something."""
    return {step.name: (step.rows_in, step.rows_out) for step in dataset.lineage.steps if step.dropped}


def test_rows_without_ids_and_times_are_dropped_and_counted(tmp_path: Path) -> None:
    events = [("u", "A", 5), (None, "A", 1), ("", "A", 1), ("u", None, 1), ("u", "B", None), ("u", "C", -1)]
    dataset = prepared(tmp_path, [*events, ("u", "D", 4_102_444_801)])
    assert table(dataset) == [("u", "A", 5)]
    assert drops(dataset) == {"ids": (7, 4), "times": (4, 1)}


def test_the_range_of_times_is_a_setting(tmp_path: Path) -> None:
    dataset = prepared(
        tmp_path, [("u", "A", 9), ("u", "A", 10), ("u", "A", 20), ("u", "A", 21)], Cleaning(earliest=10, latest=20)
    )
    assert table(dataset) == [("u", "A", 10), ("u", "A", 20)]


def test_only_the_event_types_asked_for_are_kept(tmp_path: Path) -> None:
    events = [("u", "A", 1, "view"), ("u", "A", 2, "purchase"), ("u", "B", 3, "cart")]
    dataset = prepared(tmp_path, events, Cleaning(events=("purchase", "cart")))
    assert table(dataset) == [("u", "A", 2), ("u", "B", 3)]
    assert dataset.log.event_names == ("cart", "purchase")
    assert drops(dataset) == {"event types": (3, 2)}


def test_values_below_the_least_and_missing_ones_are_dropped(tmp_path: Path) -> None:
    events = [("u", "A", 1, "rating", 4.0), ("u", "B", 2, "rating", 3.5), ("u", "C", 3, "rating", None)]
    dataset = prepared(tmp_path, events, Cleaning(min_value=4))
    assert table(dataset, "values") == [("u", "A", 1, 4.0)]
    assert drops(dataset) == {"values": (3, 1)}


def test_of_duplicate_events_the_first_row_stays(tmp_path: Path) -> None:
    events = [
        ("u", "A", 1, "view", 7.0),
        ("u", "A", 1, "view", 8.0),  # the same
        ("u", "A", 2, "view", 9.0),  # another second
        ("u", "A", 1, "cart", 1.0),  # another type
        ("v", "A", 1, "view", 2.0),  # another user
    ]
    dataset = prepared(tmp_path, events)
    assert sorted(table(dataset, "values")) == [
        ("u", "A", 1, 1.0),
        ("u", "A", 1, 7.0),
        ("u", "A", 2, 9.0),
        ("v", "A", 1, 2.0),
    ]
    assert drops(dataset) == {"duplicates": (5, 4)}
    assert len(prepared(tmp_path, events, Cleaning(duplicates="keep")).log) == 5


def test_events_weigh_what_the_settings_say_and_names_go_from_light_to_heavy(tmp_path: Path) -> None:
    events = [("u", "A", 1, "purchase"), ("u", "A", 2, "wish"), ("u", "A", 3, "cart"), ("u", "A", 4)]
    dataset = prepared(tmp_path, events)
    assert dataset.log.event_names == ("view", "wish", "cart", "purchase")
    assert dataset.log.weights.tolist() == [5, 1, 3, 1]
    again = prepared(tmp_path, events, Cleaning(event_weights={"wish": 9.0}, default_event="click"))
    assert again.log.event_names == ("cart", "click", "purchase", "wish")
    assert again.log.weights.tolist() == [1, 9, 1, 1]


def test_the_core_is_reached_after_several_rounds(tmp_path: Path) -> None:
    # w has one event only; without it C has one event, so that v loses its second one
    events = [("t", "A", 1), ("t", "B", 2), ("u", "A", 3), ("u", "B", 4), ("v", "A", 5), ("v", "C", 6), ("w", "C", 7)]
    dataset = prepared(tmp_path, events, Cleaning(min_user_events=2, min_item_events=2))
    assert table(dataset) == [("t", "A", 1), ("t", "B", 2), ("u", "A", 3), ("u", "B", 4)]
    core = next(step for step in dataset.lineage.steps if step.name == "k-core")
    assert (core.rows_in, core.rows_out, core.scope) == (7, 4, "whole_log")


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("ABCD")), min_size=1, max_size=30))
def test_the_core_is_the_largest_part_where_everybody_has_enough(tmp_path: Path, pairs: list[tuple[str, str]]) -> None:
    events = [(user, item, time) for time, (user, item) in enumerate(pairs)]
    left = events
    while True:  # the definition, slowly
        users, items = [user for user, _, _ in left], [item for _, item, _ in left]
        kept = [event for event in left if users.count(event[0]) >= 3 and items.count(event[1]) >= 2]
        if kept == left:
            break
        left = kept
    cleaning = Cleaning(min_user_events=3, min_item_events=2)
    if left:
        assert sorted(table(prepared(tmp_path, events, cleaning))) == sorted(left)
    else:
        with pytest.raises(EmptyDataError, match="k-core"):
            prepared(tmp_path, events, cleaning)


def test_silence_ends_a_session(tmp_path: Path) -> None:
    events = [("u", "A", 0), ("u", "B", 100), ("u", "C", 201), ("v", "A", 150), ("v", "B", 150)]
    dataset = prepared(tmp_path, events, Cleaning(session_gap=100))
    assert table(dataset, "sessions") == [
        ("u", "A", 0, 0),
        ("u", "B", 100, 0),
        ("u", "C", 201, 1),
        ("v", "A", 150, 2),
        ("v", "B", 150, 2),
    ]


def test_named_sessions_are_taken_at_their_word_even_where_they_overlap(tmp_path: Path) -> None:
    events = [
        ("u", "A", 0, "view", 1.0, "phone"),
        ("u", "B", 5, "view", 1.0, "laptop"),
        ("u", "C", 9999, "view", 1.0, "phone"),
        ("v", "A", 0, "view", 1.0, "phone"),  # another user's
        ("v", "B", 10, "view", 1.0, None),  # none: by silence
        ("v", "C", 20, "view", 1.0, None),
        ("v", "D", 9999, "view", 1.0, None),
    ]
    dataset = prepared(tmp_path, events)
    assert dataset.log.sessions.tolist() == [0, 1, 0, 2, 3, 3, 4]


def test_the_purchases_of_a_session_are_one_basket(tmp_path: Path) -> None:
    events = [
        ("u", "A", 0, "view"),
        ("u", "A", 5, "purchase"),
        ("u", "B", 6, "purchase"),
        ("u", "C", 9000, "purchase"),
        ("v", "A", 0, "cart"),
    ]
    dataset = prepared(tmp_path, events)
    first, second, third, fourth, fifth = dataset.log.baskets.tolist()
    assert (first, fifth) == (-1, -1)
    assert second == third >= 0
    assert fourth not in (-1, second)


def test_named_baskets_are_taken_at_their_word(tmp_path: Path) -> None:
    events = [
        ("u", "A", 0, "purchase", 1.0, None, "i7"),
        ("u", "B", 1, "purchase", 1.0, None, "i8"),
        ("u", "C", 9999, "purchase", 1.0, None, "i7"),
        ("v", "A", 0, "purchase", 1.0, None, "i7"),
        ("v", "B", 1, "purchase", 1.0, None, None),
    ]
    assert prepared(tmp_path, events).log.baskets.tolist() == [0, 1, 0, 2, -1]


def test_codes_follow_the_first_event_and_then_the_id(tmp_path: Path) -> None:
    dataset = prepared(tmp_path, [("z", "Q", 1), ("b", "C", 5), ("a", "B", 5), ("b", "Q", 3)])
    assert dataset.user_ids.tolist() == ["z", "b", "a"]
    assert dataset.catalogue.ids.tolist() == ["Q", "B", "C"]
    assert dataset.catalogue.numbers("first_seen").tolist() == [1, 5, 5]


def test_events_are_ordered_by_user_time_and_source_row(tmp_path: Path) -> None:
    dataset = prepared(tmp_path, [("u", "C", 7), ("u", "B", 7), ("u", "A", 7), ("u", "D", 1)])
    assert [item for _, item, _ in table(dataset)] == ["D", "C", "B", "A"]


def test_the_catalogue_keeps_cold_items_and_adds_bare_ones(tmp_path: Path) -> None:
    items = pd.DataFrame(
        {"item_id": ["Z", "A", "Y"], "title": ["Zebra", "Apple", None], "available_from": [90, 1, None]}
    )
    dataset = prepared(tmp_path, [("u", "B", 3), ("u", "A", 5)], items=items)
    assert dataset.catalogue.ids.tolist() == ["B", "A", "Y", "Z"]
    assert dataset.catalogue.strings("title").tolist() == ["", "Apple", "", "Zebra"]
    np.testing.assert_array_equal(dataset.catalogue.numbers("available_from"), [np.nan, 1, np.nan, 90])
    np.testing.assert_array_equal(dataset.catalogue.numbers("first_seen"), [3, 5, np.nan, np.nan])
    assert dataset.log.n_items == 4


def test_a_core_on_items_leaves_no_cold_items(tmp_path: Path) -> None:
    items = pd.DataFrame({"item_id": ["A", "Z"]})
    dataset = prepared(tmp_path, [("u", "A", 3), ("u", "A", 5)], Cleaning(min_item_events=2), items=items)
    assert dataset.catalogue.ids.tolist() == ["A"]


def test_items_and_users_are_counted(tmp_path: Path) -> None:
    events = [("u", "A", 1, "view"), ("u", "A", 2, "purchase"), ("v", "A", 9, "view"), ("v", "B", 4, "purchase")]
    dataset = prepared(tmp_path, events)
    items = pd.read_parquet(dataset.folder / "items.parquet").set_index("item_id")
    users = pd.read_parquet(dataset.folder / "users.parquet").set_index("user_id")
    numbers = ["n_events", "n_purchases", "first_seen", "last_seen"]
    assert items.loc["A", ["n_users", *numbers]].tolist() == [2, 3, 1, 1, 9]
    assert items.loc["B", ["n_users", *numbers]].tolist() == [1, 1, 1, 4, 4]
    assert users.loc["v", ["n_items", *numbers]].tolist() == [2, 2, 1, 4, 9]
    assert not {"n_events", "n_purchases", "n_users", "last_seen"} & set(dataset.catalogue.frame)


def test_a_source_cleans_before_the_general_rules(tmp_path: Path) -> None:
    own = Step("test accounts", "SELECT * FROM events WHERE user_id <> 'tester'", "the account is a tester's")
    dataset = prepared(tmp_path, [("tester", "A", 1), ("u", "A", None), ("u", "A", 2)], own_steps=[own])
    assert list(drops(dataset)) == ["test accounts", "times"]
    assert table(dataset) == [("u", "A", 2)]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"events": ()}, "data.cleaning.events"),
        ({"events": "purchase"}, "'purchase' is no list; write [purchase]"),
        ({"duplicates": "maybe"}, "data.cleaning.duplicates: 'maybe'"),
        ({"session_gap": -1}, "data.cleaning.session_gap: -1"),
        ({"min_user_events": -2}, "data.cleaning.min_user_events: -2"),
        ({"event_weights": {"view": -1.0}}, "data.cleaning.event_weights.view: -1.0"),
        ({"event_weights": {"view": float("nan")}}, "data.cleaning.event_weights.view: nan is no number up to"),
        ({"event_weights": {"view": 1e99}}, "data.cleaning.event_weights.view: 1e+99 is no number up to 1e+30"),
        ({"min_value": float("-inf")}, "data.cleaning.min_value: -inf is beyond"),
        ({"earliest": 5, "latest": 4}, "data.cleaning.earliest: 5"),
    ],
)
def test_settings_that_cannot_work_are_refused(setting: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        Cleaning(**setting)


def test_windows_break_every_tie_and_no_step_uses_the_engine_s_own_functions() -> None:
    cleaning = Cleaning(events=("view",), min_value=1, min_user_events=2, min_item_events=2)
    both = Attributes(items=("item_id", "title"), users=("user_id", "age"))
    steps = [*key_steps(cleaning, ("user_id",)), *filter_steps(cleaning), *core_steps(cleaning)]
    steps += [*entity_steps(cleaning, both), *entity_steps(cleaning, Attributes())]
    for named in (False, True):
        steps += log_steps(cleaning, has_sessions=named, has_baskets=named)
    unique = ("row_id", "first_row", "user_id", "item_id", "user_code", "event")  # one row each, or one per partition
    for step in steps:
        for order in re.findall(r"ORDER BY (.*?)(?: ROWS|\))", step.sql):
            assert order.rpartition(", ")[2].strip() in unique or order.endswith("_id"), step.sql
        for function in re.findall(r"(\w+)\(", step.sql):
            portable = {"count", "sum", "min", "max", "lag", "coalesce", "nullif", "row_number", "CAST", "IN", "OVER"}
            assert function in portable, (step.name, function)
