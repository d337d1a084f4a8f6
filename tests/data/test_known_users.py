"""Training users recognised by their histories."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys_lab.data.known_users import KnownUsers
from recsys_lab.data.log import InteractionLog
from serving_min.queries import Queries


def log_of(histories: list[list[int]]) -> InteractionLog:
    """One event a second, in the order given."""
    users = np.repeat(np.arange(len(histories)), [len(history) for history in histories])
    items, times = np.array([(item, at) for history in histories for at, item in enumerate(history)]).T
    return InteractionLog.from_events(users, items, times, n_users=len(histories), n_items=10)


def ask(histories: list[list[int]], later: int = 0) -> Queries:
    return Queries.from_histories(histories, times=[[later + at for at in range(len(h))] for h in histories])


def test_the_same_history_continued_or_not_is_the_user_and_any_other_a_stranger() -> None:
    known = KnownUsers(log_of([[1, 2], [], [3, 4, 5], [1, 2, 3]]))
    table = {
        (1, 2): 0,
        (1, 2, 9): 0,  # went on after training
        (3, 4, 5): 2,
        (1, 2, 3): 3,  # the longer of two that fit
        (1, 2, 3, 4): 3,
        (3, 4): -1,  # a part of a user's history only
        (2, 1): -1,  # another order
        (9, 1, 2): -1,  # begins with something else
        (): -1,
    }
    assert known.of(ask([list(history) for history in table])).tolist() == list(table.values())


def test_the_same_items_at_other_times_are_a_stranger_s() -> None:
    known = KnownUsers(log_of([[1, 2]]))
    assert known.of(ask([[1, 2]], later=100)).tolist() == [-1]


def test_who_did_exactly_the_same_cannot_be_told_apart() -> None:
    assert KnownUsers(log_of([[7], [1, 2], [1, 2]])).of(ask([[1, 2]])).tolist() == [1]


@given(
    st.lists(st.lists(st.integers(0, 3), max_size=5), min_size=1, max_size=8), st.lists(st.integers(0, 3), max_size=6)
)
def test_it_is_the_longest_prefix(histories: list[list[int]], asked: list[int]) -> None:
    fitting = [h for h in histories if h and asked[: len(h)] == h]
    expected = histories.index(max(fitting, key=len)) if fitting else -1
    if not any(histories):
        histories = [*histories, [9]]
    assert KnownUsers(log_of(histories)).of(ask([asked])).tolist() == [expected]
