from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving_min.fleet.shares import chosen, place

USERS = [f"user {number}" for number in range(20_000)]


def test_users_are_spread_in_proportion() -> None:
    counts = Counter(chosen(user, {"live": 0.7, "a": 0.2, "b": 0.1}) for user in USERS)
    shares = {name: count / len(USERS) for name, count in counts.items()}
    assert shares == pytest.approx({"live": 0.7, "a": 0.2, "b": 0.1}, abs=0.01)


def test_when_a_share_grows_only_its_new_users_move() -> None:
    before = {user: chosen(user, {"live": 0.7, "a": 0.2, "b": 0.1}) for user in USERS}
    after = {user: chosen(user, {"live": 0.6, "a": 0.2, "b": 0.2}) for user in USERS}
    assert {(before[user], after[user]) for user in USERS if before[user] != after[user]} <= {
        ("live", "b"),
        ("live", "a"),  # its share of what is not b's grows as well
        ("a", "b"),
    }


def test_when_one_leaves_nobody_else_moves() -> None:
    before = {user: chosen(user, {"live": 0.7, "a": 0.2, "b": 0.1}) for user in USERS}
    after = {user: chosen(user, {"live": 0.7, "a": 0.2}) for user in USERS}
    assert all(before[user] == after[user] for user in USERS if before[user] != "b")


@given(st.text(), st.text())
def test_a_place_is_inside_and_stays(key: str, name: str) -> None:
    assert 0 < place(key, name) < 1
    assert place(key, name) == place(key, name)


def test_a_share_of_nothing_and_a_single_name() -> None:
    assert {chosen(user, {"live": 0.0, "a": 1.0}) for user in USERS[:1_000]} == {"a"}
    assert chosen("anybody", {"live": 0.0}) == "live"
