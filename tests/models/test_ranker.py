"""The second stage learns what its members cannot say, and nothing from behind the cutoff."""

from __future__ import annotations

import numpy as np
import pytest

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError, ModelError
from recsys_lab.models.boosting import grow, to_trees
from recsys_lab.models.ease import EASE
from recsys_lab.models.itemknn import ItemKNN
from recsys_lab.models.popular import Popular
from recsys_lab.models.ranker import Ranker
from recsys_lab.models.repeat import Repeat
from tests.models.conformance import DAY, RecommenderConformance

MEMBERS = {"ease": EASE(regularization=1.0), "itemknn": ItemKNN()}
SMALL = {"trees": 5, "leaves": 4, "leaf_rows": 5}


class TestRanker(RecommenderConformance):
    model = Ranker
    settings = {"members": MEMBERS, "days": None, "exclude_seen": True, **SMALL}


@pytest.mark.parametrize("leaves", [2, 9, 31, 64])
def test_the_trees_are_lightgbm_s(leaves: int) -> None:
    import lightgbm

    rng = np.random.default_rng(0)
    rows = rng.normal(size=(600, 5)).astype(np.float32)
    rows[:, 2] = rng.integers(0, 3, 600)
    hits = rows[:, 0] + rows[:, 2] > 1
    booster = lightgbm.train(
        {"objective": "lambdarank", "verbose": -1, "use_missing": False, "num_threads": 1}
        | {"num_leaves": leaves, "min_data_in_leaf": 3},
        lightgbm.Dataset(rows, label=hits.astype(int), group=np.full(60, 10)),
        num_boost_round=20,
    )
    trees = to_trees(booster.dump_model())
    edges = np.resize(trees.threshold.astype(np.float32), (len(trees.threshold), 5))  # where a step might be missed
    asked = np.concatenate([rows, rng.normal(size=(50, 5)).astype(np.float32) * 10, edges])
    expected = booster.predict(asked, raw_score=True)
    np.testing.assert_array_equal(trees.sums(asked), expected)
    for size in (1, 2, 3, 17):
        np.testing.assert_array_equal(trees.sums(asked[:size]), expected[:size])


def test_a_tree_without_a_split_is_one_leaf() -> None:
    rows = np.zeros((20, 2), np.float32)
    trees = grow(rows, np.arange(20) % 10 == 0, np.array([10, 10]), rounds=2)
    assert (trees.roots < 0).all()
    assert len(set(trees.sums(rows).tolist())) == 1


def planted() -> tuple[InteractionLog, np.ndarray]:
    """Each user buys four things in turn, one a day, and beside it something at random.

    What was bought four days ago is bought today; no member knows.
    """
    rng = np.random.default_rng(3)
    users, days = 90, 24
    who, what, when = [], [], []
    for user in range(users):
        cycle = rng.permutation(60)[:4]
        for day in range(days):
            who += [user, user]
            what += [int(cycle[day % 4]), 60 + int(rng.integers(0, 60))]
            when += [day * DAY + user] * 2
    return InteractionLog.from_events(np.array(who), np.array(what), np.array(when), n_items=120), np.array(when)


def test_it_learns_when_a_thing_is_due() -> None:
    log, _ = planted()
    past, last = log.where(log.times < 23 * DAY), log.where(log.times >= 23 * DAY)
    due = {int(user): int(item) for user, item in zip(last.users, last.items, strict=True) if item < 60}
    members = {"repeat": Repeat(companions=0.0), "popular": Popular()}
    ranker = Ranker(members=members, trees=30, leaves=8, leaf_rows=20, days=1.0, folds=3).fit(past)
    queries = past.histories(23 * DAY)
    wanted = np.array([due[user] for user in range(past.n_users)])
    found = {
        name: (model.recommend(queries, 1, exclude_seen=False).items[:, 0] == wanted).mean()
        for name, model in {"ranker": ranker, "repeat": Repeat(companions=0.0).fit(past)}.items()
    }
    assert found["repeat"] < 0.5
    assert found["ranker"] > 0.9


def test_the_future_of_the_log_changes_nothing() -> None:
    """Fitted at a cutoff it is the same, whatever happens later and whatever is sold later."""
    log, _ = planted()
    rng = np.random.default_rng(0)
    later = log.times >= 20 * DAY
    other = InteractionLog.from_events(
        log.users, np.where(later, rng.integers(0, 120, len(log)), log.items).astype(np.int32), log.times, n_items=120
    )
    ids = Catalogue.of_ids([str(code) for code in range(120)])
    models = [
        Ranker(members={"repeat": Repeat(), "popular": Popular()}, days=2.0, folds=2, **SMALL).fit(
            whole.where(whole.times < 20 * DAY), catalogue=ids
        )
        for whole in (log, other)
    ]
    queries = log.where(~later).histories(20 * DAY)
    np.testing.assert_array_equal(models[0].score(queries), models[1].score(queries))


def test_what_a_member_learned_by_heart_is_not_what_is_practised_on() -> None:
    """The folds' own events are outside the log that their members and item facts are made from."""
    from recsys_lab.data.practice import practice_folds

    log, _ = planted()
    catalogue = Catalogue.of_ids([str(code) for code in range(120)])
    folds = list(practice_folds(log, catalogue, days=3.0, folds=2, exclude_seen=False))
    assert [fold.cutoff for fold in folds] == [int(log.times.max()) + 1 - 3 * DAY, int(log.times.max()) + 1 - 6 * DAY]
    for fold in folds:
        assert fold.train.times.max() < fold.cutoff
        assert (fold.queries.now == fold.cutoff).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trees": 0}, "grows no tree"),
        ({"leaves": 1}, "grows no tree"),
        ({"leaves": 65}, "64 or fewer"),
        ({"columns": 0.0}, "no share"),
        ({"learning_rate": 0.0}, "positive"),
    ],
)
def test_what_cannot_work_is_refused(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Ranker(members=MEMBERS, **settings)


@pytest.mark.parametrize(
    ("days", "message"),
    [(2.0, r"the last 6 × 2\.0 days .*; shorten days, raise depth"), (None, "users' latest moments .*; raise depth")],
)
def test_a_log_that_is_too_short_to_practise_on_is_refused(days: float | None, message: str) -> None:
    log = InteractionLog.from_events(np.arange(5), np.arange(5), np.zeros(5, np.int64))
    with pytest.raises(ModelError, match=message):
        Ranker(members=MEMBERS, days=days).fit(log)
