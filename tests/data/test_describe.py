"""The page about a data set, on logs whose numbers are counted by hand."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from recsys_lab.data.describe import Stage, describe, render
from recsys_lab.terminal import console
from tests.data.literal import prepared

DAY = 86_400
# A has four events of two users, B three of three, C one; ten days
EVENTS = [
    ("u", "A", 0, "view"),
    ("u", "A", 1 * DAY, "cart"),
    ("u", "A", 2 * DAY, "purchase"),
    ("u", "B", 3 * DAY, "view"),
    ("v", "A", 4 * DAY, "view"),
    ("v", "B", 5 * DAY, "cart"),
    ("w", "B", 9 * DAY, "view"),
    ("w", "C", 10 * DAY, "view"),
]


@pytest.fixture
def description(tmp_path: Path):
    items = pd.DataFrame({"item_id": ["A", "B", "C", "Z"], "title": ["a", "b", "c", "z"]})
    return describe(prepared(tmp_path, [*EVENTS, ("", "A", 5)], items=items))


def test_counts_and_density(description) -> None:
    assert description.counts == {
        "events": 8,
        "users": 3,
        "items": 4,
        "items with events": 3,
        "user-item pairs": 6,
        "sessions": 8,
        "baskets": 1,
    }
    assert description.density == pytest.approx(6 / 9)
    assert (description.first, description.last, description.days) == ("1970-01-01 00:00", "1970-01-11 00:00", 10)


def test_popularity(description) -> None:
    assert description.top_shares == {"1%": 0.5, "5%": 0.5, "10%": 0.5, "20%": 0.5, "50%": 7 / 8}
    # mean absolute difference of 4, 3, 1 over all nine pairs is 12/9, twice the mean is 16/3
    assert description.gini == pytest.approx((12 / 9) / (16 / 3))


def test_history_lengths(description) -> None:
    lengths = description.history_lengths
    assert (lengths["p0"], lengths["p50"], lengths["p100"], lengths["mean"]) == (2, 2, 4, pytest.approx(8 / 3))


def test_the_funnel_goes_from_light_to_heavy_events(description) -> None:
    assert description.funnel == (
        Stage("view", 5, 3, 1.0, None),
        Stage("cart", 2, 2, 2 / 3, 2 / 3),
        Stage("purchase", 1, 1, 1 / 3, 1 / 2),
    )


def test_cold_shares_are_about_the_last_tenth_of_the_time(description) -> None:
    assert description.cold == {
        "new items": 1 / 3,  # C, seen on day 10
        "new users": 1 / 3,  # w, since day 9
        "late events on new items": 1 / 2,
        "items without events": 1 / 4,  # Z
    }


def test_dropped_rows_say_why(description) -> None:
    assert description.dropped == {"ids": {"rows": 1, "why": "the user or item id is empty"}}


def test_the_page_is_json_and_fits_a_screen(description) -> None:
    assert json.loads(json.dumps(description.to_dict()))["counts"]["events"] == 8
    page = io.StringIO()
    render(description, console(file=page, width=110))
    lines = page.getvalue().splitlines()
    assert len(lines) < 50
    assert any("purchase" in line and "50.0%" in line for line in lines)


def test_names_are_no_markup(make_dataset) -> None:
    page = io.StringIO()
    described = describe(make_dataset([("u", 0, "[/]"), ("u", 0, "[red]"), ("u", 9, "[red]")], kinds=["[b]"] * 3))
    render(replace(described, name="[/x]"), console(file=page, width=110))
    assert page.getvalue().startswith("[/x] literal")
    assert "[b]" in page.getvalue()
    assert "on one item, '[red]'" in page.getvalue()


def test_data_without_a_clock_have_no_dates(make_dataset) -> None:
    described = describe(make_dataset([("u", 0, "A"), ("u", 1, "B")], order_only=True))
    assert (described.first, described.days, described.cold) == (None, None, {})
    assert any("only leave-one-out" in warning for warning in described.warnings)
    render(described, console(file=io.StringIO()))


@pytest.mark.parametrize(
    ("events", "items", "message"),
    [
        ([("u", "A", 5), ("u", "B", 5), ("u", "C", 9)], None, "66.7% of the events share user and second"),
        ([("u", "A", 0), ("u", "B", 2 * DAY)], None, "the log spans 2.0 days"),
        ([("u", "A", 0), ("v", "B", 2)], None, "100.0% of the users have a single event"),
        ([("u", "A", 0), ("u", "B", 2)], None, "only 2 items have events"),
        ([("u", "A", 0), ("u", "A", 9), ("u", "B", 2)], None, "66.7% of the events are on one item, 'A'"),
        ([("u", "A", 0), ("v", "B", 2)], {"item_id": ["A"], "title": ["a"]}, "50.0% of the items have no title"),
        ([("u", "A", 0), ("v", "A", 9)], {"item_id": ["A"], "available_from": [5]}, "1 events come before their item"),
        ([("u", "A", 0), ("u", "", 2)], None, "preparation dropped 50.0% of the rows"),
        ([("u", "A", time) for time in range(1001)], None, "1 users have more than 1,000 events in one day"),
    ],
)
def test_what_is_out_of_the_ordinary_is_said(tmp_path: Path, events: list, items: dict | None, message: str) -> None:
    frame = None if items is None else pd.DataFrame(items)
    warnings = describe(prepared(tmp_path, events, items=frame)).warnings
    assert any(warning.startswith(message) for warning in warnings), warnings


def test_an_ordinary_log_has_no_warning(make_dataset) -> None:
    events = [(f"u{user}", user * 86_400 + item, f"i{(user + item) % 60}") for user in range(60) for item in range(3)]
    dataset = make_dataset(events)
    dataset.catalogue.frame["title"] = "a title"
    assert describe(dataset).warnings == ()
