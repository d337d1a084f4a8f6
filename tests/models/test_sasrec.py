"""SASRec on a planted chain: each item is followed by the next one, most of the time."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.fold import Fold
from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError, ModelError
from recsys_lab.export.encoder import export_encoder
from recsys_lab.metrics import ranking
from recsys_lab.models.base import Recommender
from recsys_lab.models.popular import Popular
from recsys_lab.models.sasrec import NextItem, SASRec, SelfAttention
from recsys_lab.nn.next_item import FullSoftmax
from recsys_lab.nn.sequences import WindowBatches
from serving_min.queries import Queries
from tests.models.conformance import ITEMS, TOUCHED, RecommenderConformance, ask, checkerboard, colours

CHAIN = 20
SMALL = {"width": 16, "max_history": 8, "batch_size": 32, "max_epochs": 20, "learning_rate": 0.01}


class TestSASRec(RecommenderConformance):
    model = SASRec
    settings = SMALL


class TestSASRecSampled(RecommenderConformance):
    model = SASRec
    settings = {**SMALL, "loss": "sampled_softmax", "negatives": 16, "use_events": True, "heads": 2}


class TestSASRecWithEverything(RecommenderConformance):
    model = SASRec
    settings = {
        **SMALL,
        "block": "ligr",
        "feed_forward": 1.5,
        "initialisation": "xavier",
        "table_dropout": 0.1,
        "use_events": True,
        "use_gaps": True,
        "use_features": True,
        "text_width": 4,
        "temperature": 0.1,
        "loss": "gbce",
        "negatives": 4,
        "negatives_from": "mixed",
        "shared_negatives": False,
        "equal_positions": True,
    }


def walks(users: int, length: int, seed: int) -> np.ndarray:
    """Item + 1 (round the chain of 20), or any item one time in ten, [users, length]."""
    rng = np.random.default_rng(seed)
    items = np.zeros((users, length), np.int64)
    items[:, 0] = rng.integers(CHAIN, size=users)
    for place in range(1, length):
        leap = rng.random(users) < 0.1
        items[:, place] = np.where(leap, rng.integers(CHAIN, size=users), (items[:, place - 1] + 1) % CHAIN)
    return items


@pytest.fixture(scope="module")
def train() -> InteractionLog:
    items = walks(200, 13, seed=0)
    users, times = np.indices(items.shape)
    return InteractionLog.from_events(users.ravel(), items.ravel(), times.ravel(), n_items=CHAIN + 1)


@pytest.fixture(scope="module")
def valid(train: InteractionLog) -> Fold:
    """New users, each asked for the item that follows their last."""
    histories = walks(100, 6, seed=1)
    return Fold(
        train=train,
        catalogue=Catalogue.of_ids([str(code) for code in range(CHAIN + 1)]),
        queries=ask(histories.tolist()),
        users=np.arange(100, dtype=np.int32),
        target_offsets=np.arange(101),
        target_items=((histories[:, -1] + 1) % CHAIN).astype(np.int32),
        n_targets=np.ones(100, np.int64),
        target_times=np.full(100, 100),
        cutoff=100,
    )


def ndcg(model: Recommender, fold: Fold) -> float:
    lists = model.recommend(fold.queries, 10, exclude_seen=False)
    hits = ranking.hits(lists.items, fold.target_offsets, fold.target_items)
    return float(ranking.ndcg(hits, fold.n_targets, 10).mean())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"loss": "sampled_softmax", "negatives": 8},
        {"loss": "sampled_softmax", "negatives": 8, "negatives_from": "in_batch", "block": "ligr"},
        {"loss": "sampled_softmax", "negatives": 8, "shared_negatives": False, "correct_sampling": False},
        {"temperature": 0.1, "initialisation": "xavier"},
    ],
)
def test_the_chain_is_found(train: InteractionLog, valid: Fold, changes: dict[str, Any]) -> None:
    model = SASRec(**{**SMALL, "max_epochs": 6, **changes}).fit(train)
    assert ndcg(model, valid) > 0.9
    assert ndcg(Popular().fit(train), valid) < 0.4
    assert not model.candidates[CHAIN], "nobody touched it"


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "gbce", "negatives": 8, "negatives_from": "uniform", "block": "original"},
        {"loss": "bce", "negatives": 4, "negatives_from": "mixed", "table_dropout": 0.1, "equal_positions": True},
    ],
)
def test_binary_losses_find_it_in_more_steps(train: InteractionLog, valid: Fold, changes: dict[str, Any]) -> None:
    model = SASRec(**{**SMALL, "batch_size": 8, "max_epochs": 8, **changes}).fit(train)
    assert ndcg(model, valid) > 0.9


def test_a_pause_changes_what_comes_next() -> None:
    """Item 1 follows item 0 within the hour, item 2 after a month."""
    rng = np.random.default_rng(0)
    soon = rng.random(300) < 0.5
    items = np.stack([np.zeros(300, np.int64), np.where(soon, 1, 2)], axis=1)
    times = np.stack([np.zeros(300, np.int64), np.where(soon, 3_600, 30 * 86_400)], axis=1)
    log = InteractionLog.from_events(np.repeat(np.arange(300), 2), items.ravel(), times.ravel())
    model = SASRec(**{**SMALL, "use_gaps": True}).fit(log)
    queries = Queries.from_histories([[0], [0]], times=[[0], [0]], now=[3_000, 40 * 86_400])
    assert model.recommend(queries, 1).items[:, 0].tolist() == [1, 2]


def test_an_item_that_nobody_touched_is_placed_by_its_features() -> None:
    model = SASRec(**{**SMALL, "use_features": True, "id_dropout": 0.3}).fit(checkerboard(), catalogue=colours())
    assert model.candidates.all()
    only_cold = np.arange(ITEMS) >= TOUCHED
    lists = model.recommend(ask([[0, 2, 4], [1, 3, 5]]), 1, candidates=only_cold)
    assert lists.items[:, 0].tolist() == [TOUCHED, TOUCHED + 1]
    assert not model.network.items.ids.weight[only_cold].any()


def test_equal_positions_weigh_a_batch_by_what_it_asks(train: InteractionLog) -> None:
    network = SASRec(width=8, dropout=0.0)._network(CHAIN + 1, 0)
    (batch,) = WindowBatches(train, length=4, batch_size=10_000, seed=0)
    plain, weighted = NextItem(network, FullSoftmax()), NextItem(network, FullSoftmax(), usual_positions=100)
    asked = int((batch.targets >= 0).sum())
    torch.testing.assert_close(weighted(batch), plain(batch) * asked / 100)


def test_the_best_epoch_is_kept_and_survives_a_file(train: InteractionLog, valid: Fold, tmp_path: Path) -> None:
    settings = {**SMALL, "patience": 2}
    model = SASRec(**settings).fit(train, catalogue=valid.catalogue, valid=valid)
    curve = [entry["valid_ndcg@10"] for entry in model.history]
    assert model.best_epoch == 1 + int(np.argmax(curve))
    assert len(curve) == min(model.best_epoch + 2, 20)
    assert ndcg(model, valid) == pytest.approx(max(curve))

    again = SASRec(**{**settings, "max_epochs": model.best_epoch}).fit(train)
    assert len(again.history) == again.best_epoch == model.best_epoch
    np.testing.assert_array_equal(again.item_vectors(), model.item_vectors())

    model.save(tmp_path)
    assert SASRec.load(tmp_path).best_epoch == model.best_epoch


def test_a_validation_fold_of_other_items_is_refused(valid: Fold) -> None:
    other = InteractionLog.from_events(np.array([0, 0]), np.array([0, 1]), np.array([0, 1]))
    with pytest.raises(ModelError, match="validation"):
        SASRec().fit(other, valid=valid)


def test_one_event_per_user_teaches_no_order() -> None:
    with pytest.raises(ModelError, match="predict"):
        SASRec().fit(InteractionLog.from_events(np.arange(3), np.arange(3), np.arange(3)))


def test_repeats_teach_nothing_where_lists_leave_out_what_was_seen() -> None:
    again = InteractionLog.from_events(np.repeat([0, 1], 3), np.repeat([0, 1], 3), np.tile(np.arange(3), 2))
    assert SASRec(**{**SMALL, "max_epochs": 1}).fit(again).history
    with pytest.raises(ModelError, match="no user has an event to predict"):
        SASRec(**{**SMALL, "max_epochs": 1}, exclude_seen=True).fit(again)


def test_epochs_are_chosen_by_the_lists_that_will_be_shown(valid: Fold) -> None:
    """The first item of each history is the only target: lists that leave it out find nothing."""
    asked = replace(
        valid,
        target_offsets=np.arange(len(valid) + 1),
        target_items=valid.queries.items[valid.queries.offsets[:-1]],
        n_targets=np.ones(len(valid), np.int64),
    )
    settings = {**SMALL, "max_epochs": 1}
    shown, left_out = (SASRec(**settings, exclude_seen=seen).fit(valid.train, valid=asked) for seen in (False, True))
    assert shown.history[0]["valid_ndcg@10"] > 0
    assert left_out.history[0]["valid_ndcg@10"] == 0


def test_the_callers_random_state_is_left_alone(train: InteractionLog) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    SASRec(**{**SMALL, "max_epochs": 1}).fit(train)
    assert torch.equal(torch.rand(3), expected)


class Codes(nn.Module):
    """A network asked by item codes."""

    def __init__(self, network: SelfAttention) -> None:
        super().__init__()
        self.network = network

    def forward(self, items: Tensor, events: Tensor, last_only: bool = False) -> Tensor:
        vectors = self.network.items(items.clamp(min=0))
        found: Tensor = self.network.encoder(vectors, items >= 0, events, last_only=last_only)
        return found


@pytest.fixture(scope="module")
def network() -> Any:
    torch.manual_seed(0)
    return Codes(SASRec(width=8, heads=2, max_history=6)._network(10, 3)).eval()


def test_padding_never_changes_the_answer(network: Any) -> None:
    items, events = torch.tensor([[4, 0, 7]]), torch.tensor([[0, 2, 1]])
    padding = torch.full((1, 2), -1)
    padded = network(torch.cat([padding, items], 1), torch.cat([padding, events], 1))
    torch.testing.assert_close(padded[:, 2:], network(items, events))


def test_the_last_position_alone_is_the_last_of_all(network: Any) -> None:
    items, events = torch.tensor([[-1, 4, 0], [1, 2, 3]]), torch.tensor([[-1, 1, 0], [2, 2, 0]])
    torch.testing.assert_close(network(items, events, last_only=True), network(items, events)[:, -1:])


def test_later_events_are_invisible(network: Any) -> None:
    events = torch.zeros(1, 4, dtype=torch.long)
    one, other = (network(torch.tensor([[1, 2, 3, last]]), events) for last in (4, 9))
    torch.testing.assert_close(one[:, :3], other[:, :3])
    assert not torch.allclose(one[:, 3], other[:, 3])


def test_kinds_of_events_are_told_apart(network: Any) -> None:
    items = torch.tensor([[1, 2]])
    assert not torch.allclose(network(items, torch.tensor([[0, 0]])), network(items, torch.tensor([[0, 1]])))


@pytest.mark.parametrize(
    "settings", [{"block": "original"}, {"block": "ligr", "use_gaps": True}, {"use_events": True, "use_gaps": True}]
)
def test_the_graph_answers_alike_in_onnxruntime(tmp_path: Path, settings: dict[str, Any]) -> None:
    log = InteractionLog.from_events(
        np.repeat(np.arange(6), 5), np.arange(30) % 7, np.arange(30), events=np.arange(30) % 2, event_names=("a", "b")
    )
    model = SASRec(width=8, max_history=4, max_epochs=1, **settings).fit(log)
    queries = Queries.from_histories([[1, 2, 3], [5], [], [0, 1, 2, 3, 4, 5, 6]], event_names=("a", "b"))
    assert export_encoder(model.query_module(), queries, model.max_history, tmp_path / "encoder.onnx") < 1e-5


@pytest.mark.parametrize(
    "settings",
    [
        {"heads": 3},
        {"loss": "hinge"},
        {"block": "round"},
        {"negatives_from": "luck"},
        {"initialisation": "zero"},
        {"calibration": 2},
        {"feed_forward": 0},
        {"temperature": -1},
        {"width": 0},
        {"max_history": 0},
        {"patience": 0},
        {"dropout": -0.1},
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        SASRec(**settings)
