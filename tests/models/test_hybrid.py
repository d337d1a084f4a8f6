"""Lists joined: whom the weights trust, and what a bundle or a file must not change."""

from __future__ import annotations

import numpy as np
import pytest

from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError
from recsys_lab.models.ease import EASE
from recsys_lab.models.hybrid import Hybrid, likeliest
from recsys_lab.models.itemknn import ItemKNN
from recsys_lab.models.popular import Popular
from recsys_lab.models.recbole import RecBole
from recsys_lab.models.repeat import Repeat
from serving_min.blend import Blend
from serving_min.opinions import Opinions
from serving_min.queries import Queries
from serving_min.rerank import NOTHING, TopK
from tests.models.conformance import DAY, RecommenderConformance

MEMBERS = {"ease": EASE(regularization=1.0), "itemknn": ItemKNN()}


class TestHybridOfScores(RecommenderConformance):
    model = Hybrid
    settings = {"members": MEMBERS, "days": 1.0, "lengths": [2], "exclude_seen": True}


class TestHybridOfRanks(RecommenderConformance):
    model = Hybrid
    settings = {"members": MEMBERS, "by": "ranks", "weights": "equal"}


def opinion(codes: list[int], scores: list[float], cut: list[float]) -> Opinions:
    """A list of ``codes``; where ``cut`` has a score, another item with it was the list's last."""
    full = TopK(
        np.array([[*codes, 99 if cut else NOTHING]], np.int32),
        np.array([[*scores, *(cut or [-np.inf])]], np.float32),
        np.zeros((1, len(codes) + 1), np.bool_),
    )
    return Opinions.of(full)


def test_reciprocal_ranks_by_hand() -> None:
    blend = Blend(np.ones((1, 2)), (), "ranks", 1.0)
    judged = blend.judge(
        Queries.from_histories([[0]]), [opinion([4, 2, 7], [9.0, 5.0, 5.0], []), opinion([2, 9], [0.5, 0.1], [])]
    )
    # 4: 1/2; 2: 1/3 + 1/2; 7 ties with 2: 1/3; 9: 1/3
    assert judged.codes.tolist() == [2, 4, 7, 9]
    np.testing.assert_allclose(judged.scores, [5 / 6, 1 / 2, 1 / 3, 1 / 3], rtol=1e-6)


def test_scores_run_from_the_edge_to_the_top_and_short_histories_have_weights_of_their_own() -> None:
    blend = Blend(np.array([[1.0, 0.0], [0.5, 0.5]]), (2,), "scores", 60.0)
    opinions = [opinion([3, 1], [5.0, 3.0], [1.0]), opinion([6], [0.2], [])]
    short = blend.judge(Queries.from_histories([[0, 0]]), opinions)
    assert (short.codes.tolist(), short.scores.tolist()) == ([1, 3], [0.5, 1.0])
    long = blend.judge(Queries.from_histories([[0, 0, 0]]), opinions)
    assert (long.codes.tolist(), long.scores.tolist()) == ([1, 3, 6], [0.25, 0.5, 0.5])


def test_a_list_that_was_cut_stays_so_beside_longer_ones() -> None:
    def table(*scores: float) -> TopK:
        size = (1, len(scores))
        return TopK(
            np.arange(len(scores), dtype=np.int32)[None], np.array([scores], np.float32), np.zeros(size, np.bool_)
        )

    tables = table(5, 1), table(6, 4, 3), table(7)
    together = Opinions.of(*tables)
    alone = [Opinions.of(each) for each in tables]
    assert together.rows.tolist() == [0, 1, 1]
    for name in ("codes", "shares", "ranks"):
        expected = [value for each in alone for value in getattr(each, name).tolist()]
        assert getattr(together, name).tolist() == expected


def test_what_is_said_of_a_query_does_not_depend_on_the_others() -> None:
    lists = TopK(
        np.array([[5, 2, 8], [1, NOTHING, NOTHING], [7, 3, 0], [NOTHING] * 3], np.int32),
        np.array([[3, 2, 1], [4, -np.inf, -np.inf], [9, 9, 1], [-np.inf] * 3], np.float32),
        np.array([[False] * 3, [False] * 3, [False, False, True], [False] * 3]),
    )
    together = Opinions.of(lists)
    assert together.rows.tolist() == [0, 0, 1, 2, 2]  # what ties with the cut is left out, and what was filled
    assert together.ranks.tolist() == [1, 2, 1, 1, 1]
    assert together.shares.tolist() == [1, 0.5, 1, 1, 1]
    for row in range(4):
        alone = Opinions.of(TopK(lists.items[[row]], lists.scores[[row]], lists.filled[[row]]))
        own = together.rows == row
        assert alone.codes.tolist() == together.codes[own].tolist()
        assert alone.shares.tolist() == together.shares[own].tolist()


def test_the_weights_find_the_member_that_knows() -> None:
    rng = np.random.default_rng(0)
    questions = []
    for _ in range(60):
        target = np.zeros(8)
        target[rng.integers(8)] = 1
        questions.append((np.column_stack([target + 0.1 * rng.random(8), rng.random(8)]), target))
    knows, guesses = likeliest(questions, 2)
    assert knows > 20 * guesses
    assert likeliest([], 3).tolist() == [1, 1, 1]


def test_who_buys_again_is_trusted_when_repeats_count() -> None:
    """Everybody buys one item of their own daily, and another at random: repeats are right, what is popular is not."""
    rng = np.random.default_rng(1)
    users, days, own = 80, 12, rng.integers(0, 40, 80)
    who = np.repeat(np.arange(users), 2 * days)
    what = np.stack([np.repeat(own, days), rng.integers(0, 40, users * days)], axis=1).ravel()
    when = np.tile(np.repeat(np.arange(days) * DAY, 2), users) + 1
    log = InteractionLog.from_events(who, what, when, n_items=40)
    model = Hybrid(members={"popular": Popular(), "repeat": Repeat()}, days=2.0, folds=2, lengths=[]).fit(log)
    popular, repeat = model.blend.weights[0]
    assert repeat > 3 * popular
    lists = model.recommend(log.histories(int(when.max()) + DAY), 1, exclude_seen=False)
    assert (lists.items[:, 0] == own).mean() > 0.95


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "names no model"),
        ({"members": {"a b": Popular()}}, "cannot name files"),
        ({"members": {"recbole": RecBole()}}, "cannot answer inside a bundle"),
        ({"members": {"inner": Hybrid(members=MEMBERS)}}, "cannot answer inside a bundle"),
        ({"members": {"odd": {"_target_": "recsys_lab.models.ease.inverse"}}}, "is no model"),
        ({"members": {"odd": {"_target_": "recsys_lab.nowhere.EASE"}}}, "cannot be imported"),
        ({"members": MEMBERS, "by": "votes"}, "scores, ranks"),
        ({"members": MEMBERS, "weights": "guessed"}, "learned, equal"),
        ({"members": MEMBERS, "lengths": [5, 2]}, "ascend"),
        ({"members": MEMBERS, "depth": 1}, "depth: 1, .* 2 or more"),
        ({"members": MEMBERS, "folds": 0}, "folds: 0; .* 1 fold or more"),
        ({"members": MEMBERS, "days": 0.0}, "time span"),
        ({"members": MEMBERS, "smoothing": -1.0}, "0 or more"),
    ],
)
def test_what_cannot_work_is_refused(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Hybrid(**settings)
