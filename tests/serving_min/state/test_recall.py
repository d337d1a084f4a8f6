from __future__ import annotations

import pytest

from serving_min.events import Kind
from serving_min.messages import Event, Request
from serving_min.state.recall import BOUGHT_FOR, DISMISSED_FOR, Remembered, remember
from serving_min.state.store import Touch

NOW = 1_700_000_000
SHOP = ("view", "click", "cart", "purchase")


def recalled(
    request: Request, *touches: tuple[str, Kind, int], kinds: tuple[str, ...] = SHOP, keep: bool = False
) -> Remembered:
    """``touches`` say how long before NOW they were."""
    known = [Touch(item, kind, NOW - before) for item, kind, before in touches]
    return remember(request, known, kinds=kinds, now=NOW, keep=keep)


def told(request: Request) -> list[tuple[str, str | None, int | None]]:
    events = [Event(entry) if isinstance(entry, str) else entry for entry in request.history]
    return [(event.item, event.event, None if event.time is None else NOW - event.time) for event in events]


def test_nothing_known_changes_nothing() -> None:
    request = Request(history=["A"], exclude=["B"])
    assert recalled(request) == Remembered(request, {})
    assert recalled(request, ("B", "view", -1)).request is request


def test_events_come_after_an_older_history_and_count_once() -> None:
    request = Request(history=["A", Event("B", "cart"), "C"])
    remembered = recalled(request, ("C", "view", 50), ("B", "view", 40), ("B", "view", 30), ("D", "click", 20))
    assert told(remembered.request) == [
        ("A", None, 50),
        ("B", "cart", 50),  # of another kind than what was seen
        ("C", "view", 50),
        ("B", "view", 40),
        ("B", "view", 30),
        ("D", "click", 20),
    ]


def test_two_accounts_of_one_event_differ_by_seconds_two_purchases_by_days() -> None:
    request = Request(
        history=[Event("A", "purchase", NOW - 40 * 86_400), Event("A", "purchase", NOW - 65), Event("B", "view", NOW)]
    )
    remembered = recalled(request, ("A", "purchase", 60))
    assert told(remembered.request) == [("A", "purchase", 40 * 86_400), ("B", "view", 0), ("A", "purchase", 60)]


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (SHOP, ["view", "click", "cart", "purchase"]),
        (("view", "purchase"), ["view", "view", "purchase", "purchase"]),
        (("purchase",), ["purchase"] * 4),
        (("cart", "view"), ["view", "view", "cart", "cart"]),
        (("rating",), [None] * 4),
    ],
)
def test_a_kind_that_the_model_does_not_know_counts_as_the_nearest(
    kinds: tuple[str, ...], expected: list[str | None]
) -> None:
    remembered = recalled(
        Request(), ("A", "view", 9), ("B", "click", 8), ("C", "cart", 7), ("D", "purchase", 6), kinds=kinds
    )
    assert [event for _, event, _ in told(remembered.request)] == expected


def test_what_was_bought_leaves_for_a_day_unless_the_list_is_to_buy_again() -> None:
    touches = (("A", "purchase", BOUGHT_FOR), ("B", "purchase", BOUGHT_FOR - 1), ("C", "cart", 1))
    assert recalled(Request(exclude=["F"]), *touches).request.exclude == ["F", "B"]
    assert recalled(Request(exclude=["F"]), *touches, keep=True).request.exclude == ["F"]


def test_a_dismissal_fades_and_ends_with_a_change_of_mind() -> None:
    remembered = recalled(
        Request(),
        ("A", "dismiss", 2 * DISMISSED_FOR),
        ("B", "dismiss", DISMISSED_FOR),
        ("C", "dismiss", 0),
        ("D", "dismiss", 9),
        ("D", "click", 5),
    )
    assert remembered.dismissed == {"A": 0.25, "B": 0.5, "C": 1.0}
    assert remembered.request.exclude == ["B", "C"]
    assert told(remembered.request) == [("D", "click", 5)]


def test_it_says_which_items_only_the_server_saw() -> None:
    own = Request(history=["E", Event("A", "view", NOW - 5), Event("F", "view", NOW - 1)])
    remembered = recalled(own, ("A", "view", 5), ("B", "dismiss", 4), ("C", "click", 3))
    assert [item for item, *_ in told(remembered.request)] == ["E", "F", "A", "C"]
    assert remembered.recalled == {"C"}
