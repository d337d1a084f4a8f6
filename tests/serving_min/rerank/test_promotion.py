from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from serving_min.rerank.promotion import Promotion
from serving_min.rules import Boost, Rules, Weights
from tests.serving_min.rerank.shelf import DAY, NOW, found, items

SHELF = items(
    6,
    category=["a", "a", "b", "b", None, "a"],
    brand=["x", "y", "x", None, "y", "y"],
    margin=[1.0, 4.0, None, -2.0, 2.0, 9.0],
    stock=[0.0, 7.0, 1.0, None, 63.0, 3.0],
)
TODAY = datetime.fromtimestamp(NOW, UTC).date()


def scores(
    *boosts: Boost, at: int = NOW, filled: int = 0, given: Any = (4, 3, 2, 1, 0), **weights: float
) -> list[float]:
    promotion = Promotion(Rules(boosts=boosts, weights=Weights(**weights)), SHELF)
    return promotion.applied(found([0, 1, 2, 3, 4], given, filled=filled), at).scores.tolist()


@pytest.mark.parametrize(
    ("boost", "expected"),
    [
        ({"item": "2", "factor": 3.0}, [4, 3, 6, 1, 0]),
        ({"item": "2", "add": 0.25}, [4, 3, 3, 1, 0]),  # the scores are 4 apart
        ({"item": "5", "factor": 3.0}, [4, 3, 2, 1, 0]),  # was not found
        ({"item": "stranger", "factor": 3.0}, [4, 3, 2, 1, 0]),
        ({"category": "a", "factor": 0.5}, [2, 1.5, 2, 1, 0]),
        ({"category": "no such", "factor": 0.5}, [4, 3, 2, 1, 0]),
        ({"brand": "y", "factor": 2.0, "add": 0.5}, [4, 8, 2, 1, 2]),
    ],
)
def test_a_boost(boost: dict[str, Any], expected: list[float]) -> None:
    assert scores(Boost(**boost)) == expected


def test_boosts_add_up() -> None:
    assert scores(Boost(item="0", factor=2.0), Boost(item="0", factor=1.5), Boost(category="a", add=0.5))[0] == 14


def test_more_than_one_lifts_a_negative_score_too() -> None:
    assert scores(Boost(category="a", factor=2.0), given=(-4, -6, -7, -8, -9))[:3] == [-2, -3, -7]


def test_a_boost_has_its_days() -> None:
    boost = Boost(item="0", factor=2.0, since=TODAY, until=TODAY + timedelta(days=1))
    found_at = [scores(boost, at=NOW + days * DAY)[0] for days in (-1, 0, 1, 2)]
    assert found_at == [4, 8, 8, 4]


def test_margin_and_stock_are_shares_of_the_largest_found() -> None:
    assert scores(margin=1.0) == [4 + 4 * 0.25, 3 + 4, 2, 1, 4 * 0.5]
    np.testing.assert_allclose(scores(stock=0.5), [4, 3 + 2 * 3 / 6, 2 + 2 / 6, 1, 2], rtol=1e-6)


def test_what_the_fallback_filled_is_measured_apart() -> None:
    """The distance that ``add`` is part of is that of the three, and of the two, and not of all of them."""
    assert scores(Boost(brand="x", add=1.0), given=(4, 3, 2, 900, 800), filled=2) == [6, 3, 4, 900, 800]


def test_no_rule_changes_nothing() -> None:
    first = found([0, 1])
    assert Promotion(Rules(), SHELF).applied(first, NOW) is first
