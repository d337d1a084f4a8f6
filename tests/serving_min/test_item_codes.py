from __future__ import annotations

from zlib import crc32

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving_min.item_codes import ItemCodes, check_slots, make_slots
from serving_min.texts import Texts, one_piece

ids = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), unique=True, max_size=40)


def texts(values: list[str | None]) -> Texts:
    return Texts(one_piece(pa.chunked_array([pa.array(values, pa.string())])))


def lookup(known: list[str]) -> ItemCodes:
    return ItemCodes(texts([*known]), make_slots(known))


@given(known=ids, asked=ids)
def test_finds_what_a_dictionary_finds(known: list[str], asked: list[str]) -> None:
    codes, plain = lookup(known), {item: code for code, item in enumerate(known)}
    assert dict(codes) == plain
    for _ in range(2):  # the second time from memory
        assert codes.find([*known, *asked]) == [plain.get(item, -1) for item in [*known, *asked]]
    assert [item in codes for item in asked] == [item in plain for item in asked]
    assert check_slots(make_slots(known), texts([*known])) is None


def test_ids_that_fall_on_one_slot_stand_one_after_the_other() -> None:
    by_place: dict[int, list[str]] = {}
    for number in range(100):
        by_place.setdefault(crc32(str(number).encode()) % 7, []).append(str(number))
    three = next(group for group in by_place.values() if len(group) >= 3)[:3]
    slots = make_slots(three)
    first = crc32(three[0].encode()) % 7
    assert sorted(slots[[(first + step) % 7 for step in range(3)]].tolist()) == [0, 1, 2]
    assert lookup(three).find(three) == [0, 1, 2]


def test_histories_are_known_at_once_after_each_of_their_ids_was_asked_for() -> None:
    codes = lookup([*"abcdefghij"])
    assert codes.remembered([["a"], []]) == [None, []]
    assert codes.find([*"abcde", *"xfghij"]) == [0, 1, 2, 3, 4, -1, 5, 6, 7, 8, 9]
    assert codes.remembered([[*"jab"], ["a", "x"], [], ["c"]]) == [[9, 0, 1], None, [], [2]]
    with pytest.raises(KeyError):
        codes["x"]


@pytest.mark.parametrize(
    ("slots", "says"),
    [
        (np.array([0, 1], np.int32), "2 slots for 2 items"),
        (np.array([0, 1, 1, -1], np.int32), "does not name each of the 2 items once"),
        (np.array([0, 0, -1, -1], np.int32), "does not name each of the 2 items once"),
        (np.array([0, 2, -1, -1], np.int32), "does not name each of the 2 items once"),
        (np.array([0, -2, -1, -1], np.int32), "does not name each of the 2 items once"),
        (np.array([0, 1, -1], np.int64), "slots are int64"),
        (make_slots(["c", "d"]), "does not find item 'a'"),
    ],
)
def test_a_table_that_is_not_of_these_items(slots: np.ndarray, says: str) -> None:
    assert says in (check_slots(slots, texts(["a", "b"])) or "")


@given(st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)), st.data())
def test_texts_of_any_piece_of_a_column(values: list[str | None], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(values)))
    column = pa.table({"text": pa.array(values, pa.string())}).slice(start)["text"]
    read, expected = Texts(one_piece(column)), values[start:]
    assert [read[row] for row in range(len(read))] == expected
    assert read.first_null == (expected.index(None) if None in expected else None)
