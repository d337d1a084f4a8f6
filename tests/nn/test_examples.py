"""Single questions cut from a log: what a query would have seen, and nothing of the same second."""

import numpy as np
import pytest

from recsys_lab.data.log import InteractionLog
from recsys_lab.nn.examples import ExampleBatches


@pytest.fixture
def log() -> InteractionLog:
    users = np.array([0, 0, 0, 0, 0, 1, 2, 2, 2])
    items = np.array([10, 11, 12, 13, 14, 20, 30, 31, 30])
    return InteractionLog.from_events(users, items, np.arange(9))


def test_examples_are_what_a_query_would_have_seen(log: InteractionLog) -> None:
    (batch,) = ExampleBatches(log, length=2, batch_size=99, seed=0, per_user=9)
    rows = {
        now: (items, ages, target)
        for items, ages, now, target in zip(
            batch.items.tolist(), batch.ages.tolist(), batch.now.tolist(), batch.targets.tolist(), strict=True
        )
    }
    assert rows == {
        1: ([-1, 10], [0, 1], 11),
        2: ([10, 11], [2, 1], 12),
        3: ([11, 12], [2, 1], 13),
        4: ([12, 13], [2, 1], 14),
        7: ([-1, 30], [0, 1], 31),
        8: ([30, 31], [2, 1], 30),
    }
    assert batch.attributes.shape == (6, 0)


def test_what_is_bought_together_is_not_known_before() -> None:
    """Item 0 first, then 1 and 2 in one second: both are asked for from item 0 alone, and item 3 from all three."""
    log = InteractionLog.from_events(np.zeros(4, np.int64), np.arange(4), np.array([5, 7, 7, 9]))
    (batch,) = ExampleBatches(log, length=9, batch_size=9, seed=0, per_user=9)
    asked = zip(batch.targets.tolist(), batch.items.tolist(), strict=True)
    assert sorted(asked) == [(1, [-1, -1, 0]), (2, [-1, -1, 0]), (3, [0, 1, 2])]


def test_examples_per_user_are_limited_and_change_from_pass_to_pass(log: InteractionLog) -> None:
    batches = ExampleBatches(log, length=2, batch_size=2, seed=0, per_user=1)
    passes = [sorted(target for batch in batches for target in batch.targets.tolist()) for _ in range(20)]
    assert len(batches) == 1
    assert all(len(found) == 2 and found[0] < 20 < found[1] for found in passes)
    assert {found[0] for found in passes} == {11, 12, 13, 14}


def test_histories_of_one_length_share_a_batch(log: InteractionLog) -> None:
    batches = ExampleBatches(log, length=9, batch_size=2, seed=0, per_user=9)
    assert sorted(batch.items.shape[1] for batch in batches) == [1, 2, 4]


def test_the_same_seed_gives_the_same_passes(log: InteractionLog) -> None:
    def first_two(seed: int) -> list[object]:
        batches = ExampleBatches(log, 2, 2, seed, per_user=2)
        return [[batch.targets.tolist() for batch in batches] for _ in range(2)]

    one, two = first_two(1)
    assert first_two(1) == [one, two]
    assert one != two
    assert first_two(2) != [one, two]


def test_marked_events_are_history_only(log: InteractionLog) -> None:
    (batch,) = ExampleBatches(log, 2, 99, 0, per_user=9, skip=np.arange(9) != 3)
    assert batch.targets.tolist() == [13]
