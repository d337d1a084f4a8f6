"""From the ids of a request to codes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving_min.history import KnownHistory, ids_of, read_history, to_queries
from serving_min.item_codes import ItemCodes
from serving_min.manifest import History as Vocabulary
from serving_min.messages import Event, Request
from tests.serving_min.test_item_codes import lookup

NOW = 1_000
CODES = lookup([*"ABCDEFGHIJ"])
KINDS = Vocabulary(None, (), ("view", "cart", "purchase"), (("country", ("", "de", "fr")),))

names = st.none() | st.sampled_from(["view", "cart", "purchase", "wish"])
events = st.builds(Event, st.sampled_from([*"ABCDEFGHIJ?!"]), names, st.none() | st.integers(0, NOW))
histories = st.lists(st.sampled_from([*"ABCDEFGHIJ?!"]) | events, max_size=20)


def read(history: list[str | Event], codes: ItemCodes = CODES, counted: tuple[str, ...] = ()) -> KnownHistory:
    return read_history(Request(history=history), codes, KINDS, NOW, counted=counted)


@pytest.mark.parametrize(
    ("history", "items", "kinds", "times", "unknown"),
    [
        ([], [], None, None, ([], [])),
        (["B", "A", "B"], [1, 0, 1], None, None, ([], [])),
        (["B", "?", "A", "!", "?"], [1, 0], None, None, (["?", "!"], [])),
        ([Event("A", "cart", 7), Event("B", None, 5)], [1, 0], [0, 1], [5, 7], ([], [])),
        ([Event("A", "cart", 7), Event("B", None, 5), "C"], [0, 1, 2], [1, 0, 0], [7, 5, NOW], ([], [])),
        ([Event("A", "wish", 7), Event("?", "cart", 5), Event("B", time=3)], [1], [0], [3], (["?"], ["wish"])),
    ],
)
def test_what_the_model_knows_and_what_it_does_not(
    history: list[str | Event],
    items: list[int],
    kinds: list[int] | None,
    times: list[int] | None,
    unknown: tuple[list[str], list[str]],
) -> None:
    found = read(history)
    assert (found.items, found.events, found.times) == (items, kinds, times)
    assert (found.unknown_items, found.unknown_events) == unknown


def test_kinds_that_do_not_count_are_left_out_and_not_reported() -> None:
    history: list[str | Event] = [Event("A", "view"), Event("?", "view"), "B", Event("C", "cart"), Event("D", "wish")]
    found = read(history, counted=("cart",))
    assert (found.items, found.events) == ([1, 2], [0, 1])
    assert (found.unknown_items, found.unknown_events) == ([], ["wish"])
    assert read(history, counted=("rating",)).items == [0, 1, 2], "the model knows none of the kinds that count"


def test_unknown_items_that_the_server_saw_itself_are_not_reported() -> None:
    history: list[str | Event] = [Event("?", time=1), Event("A", time=4), Event("!", time=2), Event("B", time=3)]
    for recalled, strangers in (("", ["?", "!"]), ("A!B", ["?"]), ("?A!B", []), ("?A", ["!"])):
        found = read_history(Request(history=history), CODES, KINDS, NOW, recalled=recalled)
        assert (found.items, found.unknown_items) == ([1, 0], strangers)
    alone = read_history(Request(history=history[:1]), CODES, KINDS, NOW, recalled="?")
    assert alone.silence == "empty history"


@given(histories)
def test_codes_that_somebody_found_before_change_nothing(history: list[str | Event]) -> None:
    codes = lookup([*"ABCDEFGHIJ"])
    first = read(history, codes)
    (usual,) = codes.remembered([ids_of(history)])
    assert usual is None or not {"?", "!"} & {*ids_of(history)}
    assert read_history(Request(history=history), codes, KINDS, NOW, usual=usual) == first


@given(st.lists(histories, min_size=1, max_size=5))
def test_queries_are_as_if_each_history_were_alone(asked: list[list[str | Event]]) -> None:
    known = [read(history) for history in asked]
    together = to_queries(known, KINDS)
    for row, each in enumerate(known):
        alone, part = to_queries([each], KINDS), together.part(row, row + 1)
        for field in ("items", "events", "times", "now", "attributes"):
            assert getattr(part, field).tolist() == getattr(alone, field).tolist()
