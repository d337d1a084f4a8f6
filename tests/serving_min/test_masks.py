"""Filters: each test by itself, all together, remembered, and over a million items."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving_min.errors import RequestError
from serving_min.messages import Filters, PriceRange
from tests.serving_min.rerank.shelf import NOW, items

ROWS: dict[str, list[Any]] = {
    "category": ["a", "b", None, "a", "c", "b"],
    "brand": ["x", None, "y", "y", "x", "z"],
    "price": [1.0, 2.0, None, 4.0, 5.0, 6.0],
    "available_from": [None, NOW - 1, NOW, NOW + 1, NOW + 9, 0],
    "market": ["DE", "DE|FR", None, "FR", "", "DEN"],
    "min_age": [None, 18.0, 16.0, None, 0.0, 18.0],
    "stock": [0.0, None, 3.0, 1.0, 2.0, -1.0],
}
SHELF = items(6, **ROWS)


def passing(**filters: Any) -> list[int]:
    mask = SHELF.allowed(Filters(**filters), NOW)
    assert mask is not None
    return np.flatnonzero(mask).tolist()


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"category": ["a", "c", "no such"]}, [0, 3, 4]),
        ({"category": []}, []),
        ({"not_category": ["a", "no such"]}, [1, 2, 4, 5]),
        ({"brand": ["x"]}, [0, 4]),
        ({"not_brand": ["x", "y"]}, [1, 5]),
        ({"price": PriceRange(min=2)}, [1, 3, 4, 5]),
        ({"price": PriceRange(max=4)}, [0, 1, 3]),
        ({"price": PriceRange(min=2, max=4)}, [1, 3]),
        ({"market": "DE"}, [0, 1, 2]),
        ({"market": "FR"}, [1, 2, 3]),
        ({"age": 17}, [0, 2, 3, 4]),
        ({"age": 18}, [0, 1, 2, 3, 4, 5]),
        ({"available": True}, [1, 2]),
        ({"not_category": ["b"], "brand": ["x", "y"], "age": 15}, [0, 3, 4]),
    ],
)
def test_who_passes(filters: dict[str, Any], expected: list[int]) -> None:
    assert passing(**filters) == expected


def test_a_category_with_bars_is_several() -> None:
    films = items(4, category=["Drama", "Adult | Drama", "Comedy", None])
    for filters, expected in [
        (Filters(category=["Drama"]), [0, 1]),
        (Filters(category=["Adult | Drama"]), [1]),
        (Filters(not_category=["Adult"]), [0, 2, 3]),
    ]:
        mask = films.allowed(filters, NOW)
        assert mask is not None
        assert np.flatnonzero(mask).tolist() == expected


def test_nothing_asked_is_no_mask() -> None:
    assert SHELF.allowed(Filters(), NOW) is None


def test_what_comes_later_is_on_sale_later() -> None:
    found = [np.flatnonzero(SHELF.allowed(Filters(available=True), NOW + later)).tolist() for later in (0, 1, 8, 9)]
    assert found == [[1, 2], [1, 2, 3], [1, 2, 3], [1, 2, 3, 4]]


names = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=3)


@settings(deadline=None)
@given(
    category=st.none() | names, not_category=st.none() | names, age=st.none() | st.integers(0, 20), sold=st.booleans()
)
def test_all_tests_together(category: Any, not_category: Any, age: int | None, sold: bool) -> None:
    mask = SHELF.allowed(Filters(category=category, not_category=not_category, age=age, available=sold), NOW)
    for code in range(6):
        row = {name: values[code] for name, values in ROWS.items()}
        passes = (
            (category is None or row["category"] in category)
            and (not_category is None or row["category"] not in not_category)
            and (age is None or row["min_age"] is None or row["min_age"] <= age)
            and (not sold or row["available_from"] is None or row["available_from"] <= NOW)
            and (not sold or row["stock"] is None or row["stock"] > 0)
        )
        assert passes == (mask is None or bool(mask[code]))


def test_a_test_is_made_once_and_cannot_be_spoilt() -> None:
    one = SHELF.allowed(Filters(brand=["y", "x"]), NOW)
    two = SHELF.allowed(Filters(brand=["x", "y", "x"]), NOW + 5)
    assert one is two
    assert one is not None
    with pytest.raises(ValueError, match="read-only"):
        one[0] = False


@pytest.mark.parametrize("name", ["category", "not_category", "brand", "not_brand", "price", "market", "age"])
def test_a_filter_on_what_is_not_there_is_refused(name: str) -> None:
    value = {"price": PriceRange(min=1), "market": "DE", "age": 3}.get(name, ["a"])
    with pytest.raises(RequestError, match=rf"filters\.{name}"):
        items(2).check(Filters(**{name: value}))
    SHELF.check(Filters(**{name: value}))
    items(2).check(Filters(available=True))
