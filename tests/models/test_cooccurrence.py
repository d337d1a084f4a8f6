"""Baskets and sessions as sets, counted by hand."""

from dataclasses import replace

import numpy as np
import pytest

from recsys_lab.data.log import InteractionLog
from recsys_lab.models.cooccurrence import item_sets


@pytest.fixture
def log() -> InteractionLog:
    """User 0: basket 1 (items 2, 0, 2 again), basket 0 (1, 3); user 1: basket 2 (0), and an event outside any."""
    items = np.array([2, 0, 2, 1, 3, 0, 3])
    users = np.array([0, 0, 0, 0, 0, 1, 1])
    log = InteractionLog.from_events(users, items, np.array([10, 11, 12, 20, 21, 15, 16]), n_items=5)
    return replace(log, baskets=np.array([1, 1, 1, 0, 0, 2, -1], np.int32))


def test_sets_are_distinct_items_in_the_order_of_their_latest_events(log: InteractionLog) -> None:
    sets = item_sets(log.baskets, log, longest=10)
    assert [found.tolist() for found in np.split(sets.items, sets.offsets[1:-1])] == [[0, 2], [0], [1, 3]]
    assert sets.counts().tolist() == [2, 1, 1, 1, 0]


def test_only_the_latest_items_of_a_long_set_are_kept(log: InteractionLog) -> None:
    sets = item_sets(log.baskets, log, longest=1)
    assert sets.items.tolist() == [2, 0, 3]


def test_short_sets_are_left_out(log: InteractionLog) -> None:
    sets = item_sets(log.baskets, log, longest=10, least=2)
    assert (len(sets), sets.items.tolist(), sets.offsets.tolist()) == (2, [0, 2, 1, 3], [0, 2, 4])
    assert len(item_sets(log.baskets, log, longest=10, least=4)) == 0


def test_pairs_are_counted_both_ways_and_not_with_themselves(log: InteractionLog) -> None:
    together = item_sets(log.baskets, log, longest=10).together().toarray()
    expected = np.zeros((5, 5))
    expected[[0, 2, 1, 3], [2, 0, 3, 1]] = 1
    np.testing.assert_array_equal(together, expected)
