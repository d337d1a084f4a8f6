"""Popularity with ages counted by hand."""

import numpy as np
import pytest

from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError
from recsys_lab.models.popular import Popular
from tests.models.conformance import DAY, RecommenderConformance, ask, checkerboard, colours


class TestPopular(RecommenderConformance):
    model = Popular
    personal = False


@pytest.fixture
def log() -> InteractionLog:
    """Item 0 three times 20 days ago, item 1 once 10 days ago, item 2 once at the end, item 3 never."""
    return InteractionLog.from_events(
        users=np.array([0, 0, 1, 1, 2]),
        items=np.array([0, 0, 0, 1, 2]),
        times=np.array([0, 0, 0, 10, 20]) * DAY,
        n_items=4,
        weights=np.array([1, 1, 1, 1, 5]),
    )


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"half_life_days": 10.0}, [3 / 4, 1 / 2, 1, 0]),
        ({"half_life_days": None}, [3, 1, 1, 0]),
        ({"half_life_days": None, "window_days": 10.0}, [0, 1, 1, 0]),
        ({"half_life_days": 10.0, "event_weights": True}, [3 / 4, 1 / 2, 5, 0]),
    ],
)
def test_counts_decay(log: InteractionLog, settings: dict[str, float], expected: list[float]) -> None:
    model = Popular(**settings).fit(log)
    assert model.popularity.tolist() == expected
    assert model.score(ask([[3]])).tolist() == [expected]
    assert model.recommend(ask([[3], []]), 1).items.tolist() == [[int(np.argmax(expected))]] * 2


def test_ranking_within_a_category() -> None:
    model = Popular().fit(checkerboard(), catalogue=colours())
    drinks = model.ranking("drinks")
    assert sorted(drinks) == list(range(0, 18, 2))
    assert (np.diff(model.popularity[drinks]) <= 0).all()
    assert len(model.ranking()) == 18
    assert len(model.ranking("cars")) == 0


@pytest.mark.parametrize("name", ["half_life_days", "window_days"])
@pytest.mark.parametrize("days", [0.0, -1.0, float("nan")])
def test_time_spans_are_positive(name: str, days: float) -> None:
    with pytest.raises(ConfigError, match=name):
        Popular(**{name: days})
