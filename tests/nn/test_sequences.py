"""Windows and examples cut from a log small enough to read.

user 0: items 10 11 12 13 14   times 0 … 4
user 1: item  20
user 2: items 30 31 30         times 6 … 8
"""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_lab.data.log import InteractionLog
from recsys_lab.nn.sequences import WindowBatches, cut, left_padded, seen_before


@pytest.fixture
def log() -> InteractionLog:
    users = np.array([0, 0, 0, 0, 0, 1, 2, 2, 2])
    items = np.array([10, 11, 12, 13, 14, 20, 30, 31, 30])
    events = np.array([0, 1, 0, 1, 0, 0, 1, 1, 1])
    return InteractionLog.from_events(users, items, np.arange(9), events=events, event_names=("view", "cart"))


def test_windows_ask_for_every_event_but_each_users_first(log: InteractionLog) -> None:
    starts, ends = cut(log.offsets, 3)
    assert list(zip(starts.tolist(), ends.tolist(), strict=True)) == [(1, 5), (0, 2), (6, 9)]


@given(st.lists(st.integers(0, 12), min_size=1, max_size=6), st.integers(1, 5))
def test_no_event_is_lost_or_asked_twice(sizes: list[int], length: int) -> None:
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    starts, ends = cut(offsets, length)
    asked = sorted(event for start, end in zip(starts, ends, strict=True) for event in range(start + 1, end))
    assert asked == [e for first, end in pairwise(offsets) for e in range(first + 1, end)]
    assert ((ends - starts) <= length + 1).all()


def test_rows_end_at_the_right() -> None:
    values = np.array([10, 11, 12, 13])
    padded = left_padded(values, np.array([0, 2, 3]), np.array([3, 4, 3]))
    assert padded.tolist() == [[10, 11, 12], [-1, 12, 13], [-1, -1, -1]]


def test_a_batch_of_windows(log: InteractionLog) -> None:
    (batch,) = WindowBatches(log, length=3, batch_size=8, seed=0)
    rows = sorted(zip(batch.items.tolist(), batch.events.tolist(), batch.targets.tolist(), strict=True))
    assert rows == [
        ([-1, -1, 10], [-1, -1, 0], [-1, -1, 11]),
        ([-1, 30, 31], [-1, 1, 1], [-1, 31, 30]),
        ([11, 12, 13], [1, 0, 1], [12, 13, 14]),
    ]


def test_a_window_knows_how_long_the_next_item_took() -> None:
    log = InteractionLog.from_events(np.array([0, 0, 0, 1, 1]), np.arange(5), np.array([0, 60, 61, 5, 3_605]))
    batches = WindowBatches(log, length=3, batch_size=8, seed=0)
    (batch,) = batches
    assert sorted(batch.gaps.tolist()) == [[-1, 3_600], [60, 1]]
    assert batches.positions == 3


def test_repeats_can_be_history_only(log: InteractionLog) -> None:
    assert np.flatnonzero(seen_before(log)).tolist() == [8]
    (batch,) = WindowBatches(log, length=3, batch_size=8, seed=0, skip=seen_before(log))
    assert [-1, 31, -1] in batch.targets.tolist()
    assert WindowBatches(log, length=3, batch_size=8, seed=0, skip=seen_before(log)).positions == 5
    nothing_asked = WindowBatches(log, length=3, batch_size=8, seed=0, skip=np.ones(9, np.bool_))
    assert (len(nothing_asked), list(nothing_asked)) == (0, [])


def test_similar_lengths_share_a_batch() -> None:
    sizes = np.tile([2, 9], 40)
    users = np.repeat(np.arange(80), sizes)
    log = InteractionLog.from_events(users, np.zeros_like(users), np.arange(len(users)))
    widths = [batch.items.shape[1] for batch in WindowBatches(log, length=8, batch_size=10, seed=0)]
    assert sorted(widths) == [1] * 4 + [8] * 4


def test_the_same_seed_gives_the_same_passes(log: InteractionLog) -> None:
    def first_two(seed: int) -> list[object]:
        batches = WindowBatches(log, 1, 2, seed)
        return [[batch.targets.tolist() for batch in batches] for _ in range(2)]

    one, two = first_two(1)
    assert first_two(1) == [one, two]
    assert one != two
    assert first_two(2) != [one, two]
