"""Sessions as neighbours, with votes counted by hand and against a plain loop over all of them."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError
from recsys_lab.models.vsknn import VSkNN
from serving_min.queries import Queries
from tests.models.conformance import RecommenderConformance

HOUR = 3_600


class TestVSkNN(RecommenderConformance):
    model = VSkNN
    settings = {"gap": None}


def log_of(sessions: list[list[int]], n_items: int = 8) -> InteractionLog:
    """One user a session, in the order given."""
    owners = np.repeat(np.arange(len(sessions)), [len(session) for session in sessions])
    items = np.array([item for session in sessions for item in session])
    return InteractionLog.from_events(owners, items, np.arange(len(items)), n_items=n_items)


def opinions(model: VSkNN, history: list[int]) -> dict[int, float]:
    scores = model.score(Queries.from_histories([history]))[0]
    return {int(item): float(scores[item]) for item in np.flatnonzero(scores > -np.inf)}


def test_votes_by_hand() -> None:
    """Asked for [0, 1]: session A = {0, 2} is alike by 1/2 through the older item, B = {1, 3} by 1, C = {0, 1, 4} by
    3/2 through the newer one; an older newest item halves a session's votes."""
    model = VSkNN(idf=False).fit(log_of([[0, 2], [1, 3], [0, 1, 4], [5, 6]]))
    a, b, c = 1 / 2 * 1 / 2, 1.0, 3 / 2
    assert opinions(model, [0, 1]) == pytest.approx({0: a + c, 1: b + c, 2: a, 3: b, 4: c})


def test_rare_items_count_more() -> None:
    """Item 0 is in all of the sessions: its vote is log 1 = 0, no opinion."""
    model = VSkNN().fit(log_of([[0, 1], [0, 2], [0, 2]]))
    assert opinions(model, [0]) == pytest.approx({1: math.log(3), 2: 2 * math.log(3 / 2)})


def test_only_the_latest_sessions_are_looked_at() -> None:
    log = log_of([[0, 1], [0, 2], [0, 3]])
    assert set(opinions(VSkNN(idf=False, recent=2).fit(log), [0])) == {0, 2, 3}


def test_the_most_similar_vote_and_ties_go_to_the_later() -> None:
    log = log_of([[0, 1, 2], [1, 3], [1, 4], [0, 5]])
    assert set(opinions(VSkNN(idf=False, neighbours=1).fit(log), [0, 1])) == {0, 1, 2}
    assert set(opinions(VSkNN(idf=False, neighbours=2).fit(log), [0, 1])) == {0, 1, 2, 4}


def test_a_silence_begins_a_new_session() -> None:
    model = VSkNN(idf=False, gap=HOUR).fit(log_of([[0, 2], [1, 3]]))
    asked = Queries.from_histories([[0, 1], [0, 1]], times=[[0, HOUR], [0, HOUR + 1]])
    assert [codes.tolist() for codes in model.sessions.running(asked)] == [[1, 0], [1]]


def test_the_latest_distinct_items_ask() -> None:
    model = VSkNN(length=2).fit(log_of([[0, 2], [1, 3]]))
    running = model.sessions.running(Queries.from_histories([[0, 1, 3, 1, 3, 3], [2]]))
    assert [codes.tolist() for codes in running] == [[3, 1], [2]]


def test_sessions_of_one_item_say_nothing_and_long_ones_are_cut() -> None:
    model = VSkNN(longest=2).fit(log_of([[0], [1, 1], [2, 3, 4]]))
    assert (model.sessions.offsets.tolist(), model.sessions.items.tolist()) == ([0, 2], [3, 4])


def test_sessions_are_those_of_the_log() -> None:
    log = log_of([[0, 1, 2, 3]])
    split = replace(log, sessions=np.array([0, 0, 1, 1], np.int32))
    assert set(opinions(VSkNN(idf=False).fit(split), [0])) == {0, 1}


def test_nothing_to_learn_is_no_opinion() -> None:
    model = VSkNN().fit(log_of([[0], [1]]))
    assert opinions(model, [0]) == {}
    assert model.recommend(Queries.from_histories([[0]]), 1).filled.all()


@settings(max_examples=60, deadline=None)
@given(
    sessions=st.lists(st.lists(st.integers(0, 5), min_size=2, max_size=5), min_size=1, max_size=12),
    history=st.lists(st.integers(0, 5), min_size=1, max_size=8),
    recent=st.integers(1, 6),
    neighbours=st.integers(1, 4),
)
def test_the_index_finds_what_a_loop_over_all_sessions_finds(
    sessions: list[list[int]], history: list[int], recent: int, neighbours: int
) -> None:
    model = VSkNN(idf=False, length=3, recent=recent, neighbours=neighbours).fit(log_of(sessions))
    past = [set(session) for session in sessions if len(set(session)) > 1]
    running = list(dict.fromkeys(reversed(history)))[:3]
    alike: dict[int, float] = {}
    newest: dict[int, int] = {}
    for back, item in enumerate(running):
        for number in [number for number, session in enumerate(past) if item in session][-recent:]:
            alike[number] = alike.get(number, 0.0) + (1 - back / len(running))
            newest.setdefault(number, back)
    latest = sorted(alike)[-recent:]
    chosen = sorted(latest, key=lambda number: (-round(alike[number], 9), -number))[:neighbours]
    expected: dict[int, float] = {}
    for number in chosen:
        for item in past[number]:
            vote = alike[number] * (1 - newest[number] / len(running))
            expected[item] = expected.get(item, 0.0) + vote
    assert opinions(model, history) == pytest.approx(expected)


@pytest.mark.parametrize(
    "settings", [{"neighbours": 0}, {"recent": 0}, {"length": 0}, {"gap": 0}, {"longest": 1}], ids=str
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        VSkNN(**settings)
