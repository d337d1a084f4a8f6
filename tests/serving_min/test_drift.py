from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving_min.drift import Drift, Reference, Spread


def test_a_spread_has_bins_of_the_same_share() -> None:
    spread = Spread.of(np.arange(100), bins=4)
    assert spread.edges == pytest.approx((24.75, 49.5, 74.25))
    assert spread.shares == (0.25, 0.25, 0.25, 0.25)
    assert Spread.of([5, 5, 5, 5]) == Spread((5.0,), (0.0, 1.0)), "what is all the same has one bin"
    assert Spread.of([]) == Spread((), (0.0,))


def test_stability_by_hand() -> None:
    halves = Spread((10.0,), (0.5, 0.5))
    assert halves.stability([1, 2, 11, 12]) == 0
    expected = (0.75 - 0.5) * math.log(0.75 / 0.5) + (0.25 - 0.5) * math.log(0.25 / 0.5)
    assert halves.stability([1, 2, 3, 12]) == pytest.approx(expected)
    assert halves.stability([1, 2, 3, 4]) > 4, "an empty bin is no infinity"


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1), st.lists(st.floats(-1e6, 1e6, width=32), min_size=1))
def test_stability_is_zero_for_itself_and_never_negative(values: list[float], others: list[float]) -> None:
    spread = Spread.of(values)
    assert spread.stability(values) == pytest.approx(0, abs=1e-9)
    assert spread.stability(others) >= 0


def test_the_window_slides_and_waits_until_it_is_full() -> None:
    popularity = np.arange(10, dtype=np.float32)
    reference = Reference(2, 3, Spread((1.0,), (0.5, 0.5)), Spread((5.0,), (0.5, 0.5)), distinct=4)
    drift = Drift(reference, popularity)
    same = (np.array([0, 9, 4], np.int32), np.array([2, 0.5, 7], np.float32))
    drift.saw(*same)
    drift.saw(*same)
    assert drift.measure() is None
    drift.saw(*same)
    measured = drift.measure()
    assert measured is not None
    assert (measured.scores, measured.popularity, measured.coverage, measured.lists) == (0, 0, 0.5, 3)
    drift.saw(np.array([9], np.int32), np.array([0], np.float32))
    assert drift.measure() != measured, "a third of the window is new"
    for _ in range(2):
        drift.saw(np.array([9], np.int32), np.array([0], np.float32))
    measured = drift.measure()
    assert measured is not None
    assert (measured.scores > 1, measured.popularity > 1, measured.coverage) == (True, True, 0.25)


def test_items_that_came_later_have_no_popularity() -> None:
    reference = Reference(2, 1, Spread((1.0,), (0.5, 0.5)), Spread((5.0,), (0.5, 0.5)), distinct=2)
    drift = Drift(reference, np.array([4, 6], np.float32))
    drift.saw(np.array([0, 1], np.int32), np.array([0, 2], np.float32))
    before = drift.measure()
    drift.saw(np.array([1, 7], np.int32), np.array([0, 2], np.float32))
    after = drift.measure()
    assert before is not None
    assert after is not None
    assert (before.popularity, before.coverage) == (0, 1)
    assert (after.popularity > 1, after.coverage) == (True, 1)


def test_a_spread_that_cannot_be() -> None:
    for edges, shares in (((1.0,), (1.0,)), ((2.0, 1.0), (0.2, 0.2, 0.6)), ((1.0, 1.0), (0.2, 0.2, 0.6))):
        with pytest.raises(ValueError, match="ascending"):
            Spread(edges, shares)
