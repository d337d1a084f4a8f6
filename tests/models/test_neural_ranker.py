"""Networks as a second stage: what they learn, and what reaches them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recsys_lab.errors import ConfigError
from recsys_lab.models.ease import EASE
from recsys_lab.models.itemknn import ItemKNN
from recsys_lab.models.ncf import NCF
from recsys_lab.models.wide_deep import WideDeep
from recsys_lab.nn.listwise import padded, train_listwise
from recsys_lab.nn.ranking import NCFNetwork, RankingNetwork, Steps, WideDeepNetwork
from tests.models.conformance import RecommenderConformance

MEMBERS = {"ease": EASE(regularization=1.0), "itemknn": ItemKNN()}
SMALL = {"members": MEMBERS, "days": None, "exclude_seen": True, "epochs": 2, "width": 8, "misses": 1.0}
SHAPE = {"items": 9, "features": 4, "steps": 3, "factors": 2, "width": 6, "dropout": 0.0}


class TestWideDeep(RecommenderConformance):
    model = WideDeep
    settings = SMALL


class TestNCF(RecommenderConformance):
    model = NCF
    settings = SMALL


def test_steps_climb_between_quantiles() -> None:
    steps = Steps(2, 2)
    steps.measure(np.array([[0, 5], [1, 5], [2, 5], [4, 5], [10, 5]], np.float32))
    climbed = steps(torch.tensor([[-3.0, 5.0], [1.0, 0.0], [2.0, 9.0], [4.0, 5.0], [99.0, 5.0]]))
    assert climbed[:, 0].tolist() == [[0, 0], [0.5, 0], [1, 0], [1, 0.25], [1, 1]]
    assert (climbed[:, 1] == 0).all(), "what never differs says nothing"


@pytest.mark.parametrize("network", [WideDeepNetwork(**SHAPE), NCFNetwork(**SHAPE)])
def test_padding_changes_no_score(network: WideDeepNetwork | NCFNetwork) -> None:
    torch.manual_seed(0)
    network.steps.measure(np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32))
    given = {
        "rows": [torch.randn(3, 4).numpy(), torch.randn(5, 4).numpy()],
        "items": [np.array([1, 4, 7]), np.array([0, 2, 3, 5, 8])],
        "history": [np.array([3]), np.array([8, 8, 1, 2])],
    }
    together = network(*(padded(given[name]) for name in network.inputs))
    alone = network(*(padded(given[name][:1]) for name in network.inputs))
    torch.testing.assert_close(together[0, :3], alone[0])


def test_the_history_decides_between_strangers_with_the_same_features() -> None:
    network = NCFNetwork(**SHAPE)
    rows, items = torch.zeros(2, 2, 4), torch.tensor([[0, 1], [0, 1]])
    scores = network(rows, items, torch.tensor([[5, -1], [6, 7]]))
    assert not torch.equal(scores[0], scores[1])
    nothing = network(rows, items, torch.tensor([[-1, -1], [-1, -1]]))
    assert torch.isfinite(nothing).all()


def learned(network: RankingNetwork, given: dict[str, list], hits: list) -> float:
    """The share of 50 further questions whose best candidate is a hit, after training on the others."""
    train, asked = slice(50, None), slice(0, 50)
    told = {name: arrays[train] for name, arrays in given.items()}
    losses = train_listwise(network, told, hits[train], epochs=30, learning_rate=0.02, weight_decay=0.0, batch_size=25)
    assert losses[-1] < 0.7 * losses[0]
    with torch.inference_mode():
        scores = network(*(padded(given[name][asked]) for name in network.inputs)).numpy()
    return float(np.mean([found[row.argmax()] for row, found in zip(scores, hits[asked], strict=True)]))


def test_the_deep_part_learns_what_no_single_feature_says() -> None:
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    rows = rng.normal(size=(250, 6, 4)).astype(np.float32)
    product = rows[:, :, 0] * rows[:, :, 1]
    network = WideDeepNetwork(**{**SHAPE, "width": 32})
    network.steps.measure(rows.reshape(-1, 4))
    given = {"rows": list(rows), "items": list(np.zeros((250, 6), np.int64))}
    assert learned(network, given, list(product == product.max(axis=1, keepdims=True))) > 0.7  # by chance 1 in 6


def test_the_history_s_factors_learn_which_items_go_together() -> None:
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    colour = np.arange(250) % 3  # of nine items, those of one colour go together
    history = [3 * rng.integers(0, 3, rng.integers(1, 5)) + own for own in colour]
    items = np.tile(np.arange(9), (250, 1))
    given = {"rows": list(np.zeros((250, 9, 4), np.float32)), "items": list(items), "history": history}
    hits = list(items % 3 == colour[:, None])
    assert learned(NCFNetwork(**{**SHAPE, "factors": 4}), given, hits) > 0.9


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs: 0 must be 1 or more"),
        ({"width": 0}, "width: 0 must be 1 or more"),
        ({"dropout": 1.0}, "below 1"),
        ({"misses": 0.0}, "more than 0"),
        ({"learning_rate": 0.0}, "must be positive"),
    ],
)
def test_what_cannot_work_is_refused(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        WideDeep(members=MEMBERS, **settings)
