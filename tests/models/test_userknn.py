"""Users as neighbours, with cosines computed by hand and against a loop over dense vectors."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_lab.data.log import Counts, InteractionLog
from recsys_lab.errors import ConfigError
from recsys_lab.models.userknn import UserKNN
from recsys_lab.models.weighting import Weighting, weighted
from serving_min.queries import Queries
from tests.models.conformance import RecommenderConformance

N_ITEMS = 6


class TestUserKNN(RecommenderConformance):
    model = UserKNN


class TestWeightedUserKNN(RecommenderConformance):
    model = UserKNN
    settings = {"neighbours": 10, "shrinkage": 0.5, "counts": "sum", "weighting": "bm25", "recent": 25}


def log_of(users: list[list[int]], *, newest_first: bool = False) -> InteractionLog:
    """The items of one user after the other, in time as well, or the other way round."""
    owners = np.repeat(np.arange(len(users)), [len(items) for items in users])
    times = -owners if newest_first else np.arange(len(owners))
    return InteractionLog.from_events(owners, np.concatenate(users), times, n_items=N_ITEMS)


def opinions(model: UserKNN, history: list[int]) -> dict[int, float]:
    scores = model.score(Queries.from_histories([history]))[0]
    return {int(item): float(scores[item]) for item in np.flatnonzero(scores > -np.inf)}


def test_votes_by_hand() -> None:
    """[0, 1, 1] is {0, 1}: A = {0, 1} has it whole, B = {0, 1, 2} two of three, C = {1, 3} one of two."""
    log = log_of([[0, 1], [0, 1, 2], [1, 3], [4, 5]])
    a, b, c = 2 / 2, 2 / math.sqrt(2 * 3), 1 / 2
    assert opinions(UserKNN().fit(log), [0, 1, 1]) == pytest.approx({0: a + b, 1: a + b + c, 2: b, 3: c})
    a, b, c = 2 / (2 + 1), 2 / (math.sqrt(6) + 1), 1 / (2 + 1)
    shrunk = UserKNN(shrinkage=1.0).fit(log)
    assert opinions(shrunk, [0, 1]) == pytest.approx({0: a + b, 1: a + b + c, 2: b, 3: c})


def test_rare_items_say_more() -> None:
    """Four users, idf(n holders) = log(5 / (1 + n)): 0 is held by three, 1 by one, 2, 3 and 4 by one or two."""
    model = UserKNN(weighting="tfidf").fit(log_of([[0, 2], [0, 3], [1, 4], [0, 4]]))
    common, rare, twice = math.log(5 / 4), math.log(5 / 2), math.log(5 / 3)
    own = math.hypot(common, rare)
    to_common, to_rare = common**2 / (own * math.hypot(common, rare)), rare**2 / (own * math.hypot(rare, twice))
    last = common**2 / (own * math.hypot(common, twice))
    expected = {0: 2 * to_common + last, 1: to_rare, 2: to_common, 3: to_common, 4: to_rare + last}
    assert opinions(model, [0, 1]) == pytest.approx(expected)


def test_the_most_similar_vote_and_ties_go_to_the_later() -> None:
    users = [[0, 1, 2, 3], [0, 4], [0, 5]]
    assert set(opinions(UserKNN(neighbours=1).fit(log_of(users)), [0])) == {0, 5}
    assert set(opinions(UserKNN(neighbours=2).fit(log_of(users)), [0])) == {0, 4, 5}
    assert set(opinions(UserKNN(neighbours=1).fit(log_of(users, newest_first=True)), [0])) == {0, 4}


def test_only_the_latest_users_are_looked_at() -> None:
    users = [[0, 1, 2], [0, 3, 4, 5], [1, 4]]
    assert set(opinions(UserKNN(recent=1).fit(log_of(users)), [0])) == {0, 3, 4, 5}


def test_users_of_one_item_have_nothing_to_add() -> None:
    assert opinions(UserKNN().fit(log_of([[0], [0, 0], [0, 1]])), [0]) == pytest.approx(
        {0: 1 / math.sqrt(2), 1: 1 / math.sqrt(2)}
    )


def test_an_item_that_everybody_has_says_nothing_once_rarity_counts() -> None:
    model = UserKNN(weighting="tfidf").fit(log_of([[0, 1, 2], [0, 3, 4]]))
    assert opinions(model, [0]) == {}
    assert set(opinions(model, [0, 1])) == {1, 2}


@settings(max_examples=60, deadline=None)
@given(
    users=st.lists(st.lists(st.integers(0, N_ITEMS - 1), min_size=1, max_size=9), min_size=1, max_size=12),
    history=st.lists(st.integers(0, N_ITEMS - 1), min_size=1, max_size=8),
    counts=st.sampled_from(["binary", "sum"]),
    weighting=st.sampled_from(["none", "tfidf", "bm25"]),
    shrinkage=st.sampled_from([0.0, 2.5]),
)
def test_the_index_finds_what_a_loop_over_all_users_finds(
    users: list[list[int]], history: list[int], counts: Counts, weighting: Weighting, shrinkage: float
) -> None:
    log = log_of(users)
    vectors = weighted(log.matrix(counts), weighting).toarray().astype(np.float64)
    holders = np.array([sum(item in items for items in users) for item in range(N_ITEMS)])
    idf = np.ones(N_ITEMS) if weighting == "none" else np.log((1 + len(users)) / (1 + holders))
    asked = np.where(np.isin(np.arange(N_ITEMS), history), idf, 0)
    expected: dict[int, float] = {}
    for vector in vectors:
        if np.count_nonzero(vector) > 1 and (product := asked @ vector) > 0:
            for item in np.flatnonzero(vector):
                vote = product / (np.linalg.norm(asked) * np.linalg.norm(vector) + shrinkage)
                expected[int(item)] = expected.get(int(item), 0.0) + vote
    model = UserKNN(counts=counts, weighting=weighting, shrinkage=shrinkage).fit(log)
    assert opinions(model, history) == pytest.approx(expected)


@pytest.mark.parametrize(
    "settings",
    [{"neighbours": 0}, {"recent": 0}, {"shrinkage": -1.0}, {"shrinkage": math.inf}, {"shrinkage": math.nan}],
    ids=str,
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        UserKNN(**settings)
