"""SLIM against a slow solver and the conditions of its optimum."""

import numpy as np
import pytest

from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError, ModelError
from recsys_lab.models import slim
from recsys_lab.models.slim import SLIM
from tests.models.conformance import ITEMS, TOUCHED, RecommenderConformance, checkerboard


class TestSLIM(RecommenderConformance):
    model = SLIM
    settings = {"l2": 1.0}


def test_the_weights_are_the_optimum() -> None:
    """Where w > 0 the gradient is zero; where w = 0 more of it would not help."""
    model = SLIM(l1=0.5, l2=2.0, sweeps=200).fit(checkerboard())
    X, W = checkerboard().matrix().toarray(), model.item_weights().toarray()
    gradient = X.T @ (X @ W - X) + 2.0 * W + 0.5
    np.fill_diagonal(gradient, 1)
    assert (W >= 0).all()
    assert not np.diag(W).any()
    np.testing.assert_allclose(gradient[W > 0], 0, atol=1e-3)
    touched = gradient[:TOUCHED, :TOUCHED]
    assert (touched > -1e-3).all()


def test_two_items_by_hand() -> None:
    """Items 0 and 2 of the log below meet twice, each has three users: w = (2 - l1) / (3 + l2)."""
    log = InteractionLog.from_events(np.array([0, 0, 1, 1, 2, 3]), np.array([0, 1, 0, 1, 0, 1]), np.arange(6))
    weights = SLIM(l1=0.5, l2=1.0).fit(log).item_weights().toarray()
    np.testing.assert_allclose(weights, [[0, 1.5 / 4], [1.5 / 4, 0]], rtol=1e-6)


def test_a_strong_l1_leaves_few_weights() -> None:
    weak, strong = (SLIM(l1=l1, l2=1.0).fit(checkerboard()).item_weights().nnz for l1 in (0.01, 3.0))
    assert 0 < strong < weak


def test_blocks_do_not_change_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = SLIM().fit(checkerboard()).item_weights().toarray()
    monkeypatch.setattr(slim, "NUMBERS_PER_BLOCK", 5 * ITEMS**2)
    np.testing.assert_allclose(SLIM().fit(checkerboard()).item_weights().toarray(), whole, rtol=1e-6)


def test_too_large_a_catalogue_is_refused_with_the_memory_it_needs() -> None:
    """18² items × 8 bytes = 2,592 bytes."""
    with pytest.raises(ModelError, match=r"slim: 18 items need 0.0 GB, more than max_memory_gb=2e-06"):
        SLIM(max_memory_gb=2e-6).fit(checkerboard())


@pytest.mark.parametrize("setting", [{"l1": -1.0}, {"l2": 0.0}, {"neighbours": 0}, {"sweeps": 0}])
def test_settings_that_cannot_work_are_refused(setting: dict[str, float]) -> None:
    name, value = next(iter(setting.items()))
    with pytest.raises(ConfigError, match=f"{name}: {value}"):
        SLIM(**setting)
