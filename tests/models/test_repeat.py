"""Repeat purchases with weights counted by hand, and a shop whose habits are planted."""

from dataclasses import replace

import numpy as np
import pytest

from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError
from recsys_lab.models.repeat import Repeat
from serving_min.queries import Queries
from tests.models.conformance import DAY, RecommenderConformance

PLAIN = {"trend": 0.0, "rebuy": 0.0, "companions": 0.0}


class TestRepeat(RecommenderConformance):
    model = Repeat


def log_of(*events: tuple[int, float, int], n_items: int = 4) -> InteractionLog:
    """Events as (user, day, item)."""
    users, days, items = (np.array(column) for column in zip(*events, strict=True))
    return InteractionLog.from_events(users, items, (days * DAY).astype(np.int64), n_items=n_items)


def test_events_add_up_by_their_age() -> None:
    model = Repeat(days=10.0, exponent=1.0, **PLAIN).fit(log_of((0, 0, 0), (0, 1, 1)))
    asked = Queries.from_histories([[0, 1, 0]], times=[[0, 20 * DAY, 30 * DAY]], now=[40 * DAY])
    expected = [1 / (1 + 4) + 1 / (1 + 1), 1 / (1 + 2), -np.inf, -np.inf]
    np.testing.assert_allclose(model.score(asked)[0], expected, rtol=1e-6)


def test_what_sells_now_comes_first() -> None:
    """Item 0 was sold on day 0, items 1 on day 10: 2 ** -(10 / 5) against 1, to the power of 1/2."""
    model = Repeat(**{**PLAIN, "trend": 0.5}, trend_days=5.0).fit(log_of((0, 0, 0), (1, 10, 1)))
    np.testing.assert_allclose(model.item_weights().diagonal(), [0.5, 1, 0, 0], rtol=1e-6)


def test_repeats_against_what_was_expected() -> None:
    """Two buyers of each item a week and more ago; item 1 came back twice, item 0 never.

    Without decay every earlier event lets expect 1: 2 an item in each of two weeks but the one that it was bought in.
    """
    log = log_of((0, 0, 0), (1, 0, 0), (2, 0, 1), (3, 0, 1), (2, 20, 1), (3, 20, 1), n_items=2)
    model = Repeat(**{**PLAIN, "rebuy": 1.0}, exponent=0.0, weeks=2, prior=2.0).fit(log)
    typical = 2 / 8
    expected = [2 / (4 + 2 / typical), (2 + 2) / (4 + 2 / typical)]
    np.testing.assert_allclose(model.item_weights().diagonal(), expected, rtol=1e-6)


def test_companions_by_hand() -> None:
    """Items 0 and 1 share 2 baskets of 2 and 3; item 2 is with 1 in a single one, which is chance."""
    log = log_of((0, 0, 0), (0, 0, 1), (1, 1, 0), (1, 1, 1), (2, 2, 1), (2, 2, 2))
    weights = Repeat(**{**PLAIN, "companions": 0.3}).fit(log).item_weights().toarray()
    expected = np.eye(4)
    expected[0, 1] = expected[1, 0] = 0.3 * 2**2 / (2 * 3)
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_baskets_are_used_where_the_log_has_them() -> None:
    log = log_of((0, 0, 0), (0, 1, 1), (1, 0, 0), (1, 1, 1))
    assert Repeat().fit(log).item_weights().nnz > 4
    apart = replace(log, baskets=np.arange(4, dtype=np.int32))
    assert Repeat().fit(apart).item_weights().nnz == 4


def test_habits_are_found() -> None:
    """Ten people buy their own staple every week and something new each time: the staples come first."""
    rng = np.random.default_rng(0)
    staples = [(user, 7 * week, user) for user in range(10) for week in range(12)]
    others = [(user, 7 * week + 1, int(rng.integers(10, 60))) for user in range(10) for week in range(12)]
    log = log_of(*staples, *others, n_items=60)
    lists = Repeat().fit(log).recommend(log.histories(85 * DAY), 1, exclude_seen=False)
    assert lists.items[:, 0].tolist() == list(range(10))


@pytest.mark.parametrize(
    "settings",
    [
        {"days": 0.0},
        {"trend_days": -1.0},
        {"prior": 0.0},
        {"exponent": -0.5},
        {"trend": -1.0},
        {"rebuy": -1.0},
        {"companions": -0.1},
        {"weeks": 0},
        {"neighbours": 0},
        {"longest": 1},
    ],
    ids=str,
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        Repeat(**settings)
