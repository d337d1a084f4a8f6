"""Association rules with confidences and lifts counted by hand."""

from dataclasses import replace

import numpy as np
import pytest

from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError
from recsys_lab.models.bought_together import BoughtTogether
from tests.models.conformance import RecommenderConformance, ask

PHONE, CASE, BAG = range(3)
BASKETS = [[PHONE, CASE], [PHONE, CASE], [CASE], [CASE], [BAG], [BAG, PHONE], [BAG], [BAG]]


class TestBoughtTogether(RecommenderConformance):
    model = BoughtTogether


@pytest.fixture
def log() -> InteractionLog:
    items = np.concatenate(BASKETS)
    baskets = np.repeat(np.arange(len(BASKETS)), [len(basket) for basket in BASKETS])
    log = InteractionLog.from_events(baskets % 2, items, baskets, n_items=3)
    order = np.lexsort((np.arange(len(items)), baskets, baskets % 2))
    return replace(log, baskets=baskets[order].astype(np.int32))


def rules(log: InteractionLog, **settings: float) -> np.ndarray:
    weights: np.ndarray = BoughtTogether(**settings).fit(log).item_weights().toarray()
    return weights


def test_confidence_is_directional(log: InteractionLog) -> None:
    """2 of 3 baskets with a phone have a case, 2 of 4 with a case a phone; bags go with phones once, by chance less."""
    expected = np.zeros((3, 3))
    expected[PHONE, CASE], expected[CASE, PHONE] = 2 / 3, 2 / 4
    np.testing.assert_allclose(rules(log, support=1, confidence=1.0), expected, rtol=1e-6)


def test_lift_is_not(log: InteractionLog) -> None:
    """n nᵢⱼ / (nᵢ nⱼ) = 8 · 2 / (3 · 4)."""
    found = rules(log, support=1, confidence=0.0)
    assert found[PHONE, CASE] == pytest.approx(4 / 3)
    assert found[CASE, PHONE] == pytest.approx(4 / 3)


def test_between_them(log: InteractionLog) -> None:
    assert rules(log, support=1, confidence=0.5)[PHONE, CASE] == pytest.approx(2 / 3 * (8 / 4) ** 0.5)


def test_pairs_of_little_support_are_chance(log: InteractionLog) -> None:
    assert rules(log, support=2).any()
    assert not rules(log, support=3).any()


def test_without_baskets_the_sessions_serve(log: InteractionLog) -> None:
    """The two users' sessions both hold everything: no lift, and so no rule."""
    assert not rules(replace(log, baskets=np.full(len(log), -1, np.int32)), support=1).any()


def test_it_answers_for_a_cart(log: InteractionLog) -> None:
    lists = BoughtTogether(support=1).fit(log).recommend(ask([[PHONE]]), 2)
    assert lists.items[0].tolist() == [CASE, BAG]
    assert lists.filled[0].tolist() == [False, True]


@pytest.mark.parametrize(
    "settings", [{"support": 0}, {"neighbours": 0}, {"confidence": 1.5}, {"confidence": -0.1}, {"longest": 1}]
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        BoughtTogether(**settings)
