"""EASE against the formula, spelled out with numpy.linalg.inv."""

import numpy as np
import pytest

from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError, ModelError
from recsys_lab.models.ease import EASE, inverse
from tests.models.conformance import RecommenderConformance, ask, checkerboard


class TestEASE(RecommenderConformance):
    model = EASE
    settings = {"regularization": 1.0}


def test_three_items_by_the_formula() -> None:
    """Users {0, 1}, {0, 1, 2}, {2}: G = [[2,2,1],[2,2,1],[1,1,2]], P = (G + I)⁻¹, B = -P / diag P."""
    log = InteractionLog.from_events(np.array([0, 0, 1, 1, 1, 2]), np.array([0, 1, 0, 1, 2, 2]), np.arange(6))
    P = np.linalg.inv(np.array([[3, 2, 1], [2, 3, 1], [1, 1, 3]]))
    B = -P / np.diag(P)
    np.fill_diagonal(B, 0)

    model = EASE(regularization=1.0).fit(log)
    np.testing.assert_allclose(model.item_weights(), B, atol=1e-6)
    np.testing.assert_allclose(model.score(ask([[0, 2, 0]]))[0], B[0] + B[2], atol=1e-6)


def test_items_without_a_positive_sum_are_no_opinion() -> None:
    log = InteractionLog.from_events(np.array([0, 0, 1]), np.array([0, 1, 2]), np.arange(3))
    scores = EASE(regularization=1.0).fit(log).score(ask([[0]]))[0]
    assert (scores > -np.inf).tolist() == [False, True, False]


def test_the_inverse_of_more_than_one_block() -> None:
    root = np.random.default_rng(0).normal(size=(600, 600)).astype(np.float32)
    matrix = root @ root.T / 600 + np.eye(600, dtype=np.float32)
    np.testing.assert_allclose(inverse(matrix.copy()) @ matrix, np.eye(600), atol=1e-4)


def test_too_large_a_catalogue_is_refused_with_the_memory_it_needs() -> None:
    """18² items × 12 bytes = 3,888 bytes."""
    with pytest.raises(ModelError, match=r"18 items need 0.0 GB, more than max_memory_gb=3e-06"):
        EASE(max_memory_gb=3e-6).fit(checkerboard())
    EASE(max_memory_gb=4e-6).fit(checkerboard())


def test_counts_weigh_repeated_events() -> None:
    log = InteractionLog.from_events(np.array([0, 0, 0]), np.array([0, 1, 1]), np.arange(3))
    P = np.linalg.inv(np.array([[1, 2], [2, 4]]) + np.eye(2))
    weights = EASE(regularization=1.0, counts="sum").fit(log).item_weights()
    assert weights[0, 1] == pytest.approx(-P[0, 1] / P[1, 1])


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(ConfigError, match="regularization: 0"):
        EASE(regularization=0.0)
    with pytest.raises(ConfigError, match="'often' is unknown; use one of binary, sum, weight"):
        EASE(counts="often").fit(checkerboard())
