"""BPR: its loss by hand, what it learns, and a query that is the mean of its history."""

import numpy as np
import pytest
import torch

from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError, ModelError
from recsys_lab.models.bpr import BPR
from tests.models.conformance import ITEMS, TOUCHED, RecommenderConformance, ask, checkerboard

QUICK = {"factors": 4, "epochs": 40, "learning_rate": 0.05, "batch_users": 20, "max_history": 12}


class TestBPR(RecommenderConformance):
    model = BPR
    settings = QUICK


def test_the_loss_by_hand() -> None:
    """One user with items 0 and 1, and 2 the only item to draw: 0 is scored by p₁, 1 by p₀."""
    said, shown = torch.tensor([[1.0], [2.0], [5.0]]), torch.tensor([[3.0], [-1.0], [0.5]])
    bias = torch.tensor([0.0, 0.25, 1.0])
    model = BPR(factors=1, regularization=0.0)
    offsets, items = np.array([0, 2], np.int32), np.array([0, 1], np.int32)
    loss = model._loss(offsets, items, said, shown, bias, torch.tensor([2]), torch.Generator())
    margins = np.array([2 * (3 - 0.5) + 0 - 1, 1 * (-1 - 0.5) + 0.25 - 1])
    assert loss.item() == pytest.approx(np.log1p(np.exp(-margins)).mean())
    model.regularization = 0.1
    held = model._loss(offsets, items, said, shown, bias, torch.tensor([2]), torch.Generator())
    assert (held - loss).item() == pytest.approx(0.1 * (1 + 4 + 25 + 9 + 1 + 0.25 + 0.0625 + 1))


def test_the_loss_falls() -> None:
    losses = [epoch["loss"] for epoch in BPR(**QUICK).fit(checkerboard()).history]
    assert losses[-1] < 0.5 * losses[0]


def test_a_query_is_the_mean_of_its_history() -> None:
    model = BPR(**QUICK).fit(checkerboard())
    found = model.encode(ask([[2, 4, 4], []]))
    np.testing.assert_allclose(found[0], [*model.said[[2, 4, 4]].mean(axis=0), 1], rtol=1e-5)
    assert not found[1].any()


def test_untouched_items_are_no_candidates() -> None:
    model = BPR(**QUICK).fit(checkerboard())
    assert model.candidates.tolist() == [True] * TOUCHED + [False] * (ITEMS - TOUCHED)


def test_single_touches_teach_nothing() -> None:
    with pytest.raises(ModelError, match="no user touched two different items"):
        BPR().fit(InteractionLog.from_events(np.array([0, 1, 1]), np.array([0, 1, 1]), np.arange(3)))


@pytest.mark.parametrize("name", ["factors", "epochs", "learning_rate", "batch_users", "max_history"])
def test_settings_that_cannot_work_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}: 0"):
        BPR(**{name: 0})
    with pytest.raises(ConfigError, match="regularization: -1"):
        BPR(regularization=-1)
