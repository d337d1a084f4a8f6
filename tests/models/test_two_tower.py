"""The two towers: warm items from ids, a cold one from what the catalogue says, moments and attributes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError, ModelError
from recsys_lab.export.encoder import export_encoder
from recsys_lab.models.two_tower import InBatch, TwoTower
from recsys_lab.nn.examples import ExampleBatches
from recsys_lab.nn.histories import Histories
from serving_min.queries import Queries
from tests.models.conformance import ITEMS, TOUCHED, RecommenderConformance, ask, checkerboard, colours

SMALL = {"width": 16, "max_history": 8, "batch_size": 64, "max_epochs": 10, "learning_rate": 0.01}
COLD_TEA, COLD_HAMMER = TOUCHED, TOUCHED + 1
HOUR, DAY = 3_600, 86_400


class TestTwoTower(RecommenderConformance):
    model = TwoTower
    settings = SMALL


class TestTwoTowerOfSequences(RecommenderConformance):
    model = TwoTower
    settings = {**SMALL, "history_tower": "sequence", "blocks": 1}


@pytest.mark.parametrize(
    "columns", [["title", "text"], ["category"], ["brand"], ["price"], ["text_vector"], ["image_vector"]]
)
def test_a_cold_item_is_placed_by_whatever_is_known(columns: list[str]) -> None:
    """Nobody touched the last two items; whoever likes tea gets the tea of the two."""
    seen = [[3.0, 0.5] if code % 2 == 0 else [0.5, 3.0] for code in range(ITEMS)]
    frame = colours().frame.assign(text_vector=seen, image_vector=seen)
    catalogue = Catalogue(frame[["item_id", *columns]])
    model = TwoTower(**{**SMALL, "id_dropout": 0.3}).fit(checkerboard(), catalogue=catalogue)
    assert model.candidates.all()
    only_cold = np.arange(ITEMS) >= TOUCHED
    lists = model.recommend(ask([[0, 2, 4], [1, 3, 5]]), 1, candidates=only_cold)
    assert lists.items[:, 0].tolist() == [COLD_TEA, COLD_HAMMER]
    assert not lists.filled.any()


def test_an_item_that_nothing_is_known_about_is_no_candidate() -> None:
    catalogue = colours().frame.copy()
    catalogue.loc[COLD_HAMMER, ["title", "text", "category", "brand", "price"]] = None
    model = TwoTower(**{**SMALL, "max_epochs": 1}).fit(checkerboard(), catalogue=Catalogue(catalogue))
    assert np.flatnonzero(~model.candidates).tolist() == [COLD_HAMMER]


def test_the_loss_by_hand() -> None:
    """The batch's other items and the drawn ones, each by how often it was to be expected among them."""
    model = TwoTower(**{**SMALL, "max_epochs": 1}).fit(checkerboard(), catalogue=colours())
    towers, counts = model.network.eval(), checkerboard().item_counts()
    (batch,) = ExampleBatches(checkerboard(), length=8, batch_size=999, seed=0, per_user=1)
    shares, touched = counts / counts.sum(), np.flatnonzero(counts)
    torch.manual_seed(0)
    loss = InBatch(towers, shares.astype(np.float32), touched, uniform=9, heat=0.5)(batch).item()

    torch.manual_seed(0)
    drawn = touched[torch.randint(len(touched), (9,)).numpy()]
    asked = batch.targets.numpy()
    others = np.concatenate([asked, drawn])
    lasting = towers.queries.history.of_items(towers.items.inputs(batch.items.clamp(min=0)))
    queries = towers.queries(lasting, batch.items >= 0, batch.events, batch.ages, batch.now, batch.attributes)
    scores = (queries @ towers.items(torch.arange(ITEMS)).T / 0.5).detach().double().numpy()
    expected = len(asked) * shares[others] + 9 / len(touched)
    losses = []
    for own, row in zip(asked, scores, strict=True):
        wrong = (np.exp(row[others]) / expected)[others != own].sum()
        losses.append(-np.log(np.exp(row[own]) / (np.exp(row[own]) + wrong)))
    assert loss == pytest.approx(np.mean(losses), rel=1e-5)


def test_repeats_teach_nothing_where_lists_leave_out_what_was_seen() -> None:
    again = InteractionLog.from_events(np.repeat([0, 1], 3), np.repeat([0, 1], 3), np.tile(np.arange(3), 2))
    assert TwoTower(**{**SMALL, "max_epochs": 1}).fit(again).history
    with pytest.raises(ModelError, match="no user has an event to predict"):
        TwoTower(**{**SMALL, "max_epochs": 1}, exclude_seen=True).fit(again)


def test_vectors_have_length_one() -> None:
    model = TwoTower(**{**SMALL, "max_epochs": 1}).fit(checkerboard(), catalogue=colours())
    queries = model.encode(ask([[0], [1, 2], [5, 7, 9]]))
    np.testing.assert_allclose(np.linalg.norm(queries, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(model.item_vectors(), axis=1), 1, rtol=1e-5)


@pytest.fixture(scope="module", params=["attention", "sequence"])
def by_context(request: pytest.FixtureRequest) -> TwoTower:
    """After item 0 come, at random: 1 for user attribute 1 and 2 for 2 by day, 3 for everybody by night."""
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(300), 2)
    attributes = (1 + np.arange(300) % 2).astype(np.int32)[:, None]
    night = rng.random(300) < 0.5
    items = np.stack([np.zeros(300, np.int64), np.where(night, 3, attributes[:, 0])], axis=1).ravel()
    later = np.where(night, 2, 14) * HOUR + rng.integers(HOUR, size=300)
    times = np.stack([np.full(300, -5 * HOUR), later], axis=1).ravel() + 10 * DAY
    log = replace(
        InteractionLog.from_events(users, items, times),
        attributes=attributes,
        attribute_names=(("plan", ("", "free", "paid")),),
    )
    return TwoTower(**{**SMALL, "max_epochs": 15}, history_tower=request.param).fit(log)


def context_queries() -> Queries:
    return Queries.from_histories(
        [[0], [0], [0], [0]],
        times=[[10 * DAY - 5 * HOUR]] * 4,
        now=[10 * DAY + hour * HOUR + 60 for hour in (14, 14, 2, 2)],
        attributes=np.array([[1], [2], [1], [2]], np.int32),
    )


def test_context_decides(by_context: TwoTower) -> None:
    assert by_context.recommend(context_queries(), 1).items[:, 0].tolist() == [1, 2, 3, 3]


def test_an_attribute_value_from_after_the_training_is_answered(by_context: TwoTower) -> None:
    queries = replace(context_queries(), attributes=np.full((4, 1), 99, np.int32))
    assert np.isfinite(by_context.score(queries)).all()


def test_the_graph_answers_alike_in_onnxruntime(by_context: TwoTower, tmp_path: Path) -> None:
    module = by_context.query_module()
    assert module.inputs == ("items", "cells", "places", "events", "ages", "now", "attributes")
    assert export_encoder(module, context_queries(), by_context.max_history, tmp_path / "encoder.onnx") < 1e-5


@pytest.mark.parametrize("history_tower", ["attention", "sequence"])
def test_packed_histories_are_answered_as_padded_ones(history_tower: str) -> None:
    """Training pads on the left, serving not at all."""
    torch.manual_seed(0)
    model = TwoTower(**{**SMALL, "max_history": 6, "history_tower": history_tower, "max_epochs": 1}).fit(checkerboard())
    module = model.query_module().eval()
    kept, tower = module.kept, module.tower
    items = torch.tensor([[-1, -1, 4], [1, 2, 3]])
    ages, now, real = torch.tensor([[0.0, 0, 7], [90, 40, 0]]), torch.tensor([9, 10]), items >= 0
    events = torch.zeros_like(items)
    padded = tower(kept[items.clamp(min=0)], real, events, ages, now, None)
    places = torch.tensor([[0, -1, -1, -1], [1, 2, 3, -1]])
    histories = Histories(torch.tensor([0, 4, 5, 6]), places)
    packed = tower.packed(kept[items[real]], histories, events[real], ages[real], now, None)
    torch.testing.assert_close(packed, padded)


def test_the_order_of_events_is_the_sequence_tower_s_alone() -> None:
    """After 0, 1 comes 2 and after 1, 0 comes 3: what a mean of the two with weights by place can hardly tell apart."""
    rng = np.random.default_rng(0)
    turned = rng.random(300) < 0.5
    pairs = np.where(turned[:, None], [1, 0, 3], [0, 1, 2])
    log = InteractionLog.from_events(np.repeat(np.arange(300), 3), pairs.ravel(), np.tile(np.arange(3) * DAY, 300))
    settings = {**SMALL, "max_epochs": 15, "history_tower": "sequence", "blocks": 1}
    lists = TwoTower(**settings).fit(log).recommend(ask([[0, 1], [1, 0]]), 1)
    assert lists.items[:, 0].tolist() == [2, 3]


@pytest.mark.parametrize(
    "settings",
    [
        {"width": 0},
        {"temperature": 0.0},
        {"max_epochs": 0},
        {"id_dropout": -1.0},
        {"history_tower": "mean"},
        {"heads": 3, "history_tower": "sequence"},
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        TwoTower(**settings)


def test_content_and_novelty_add_to_the_score() -> None:
    """By hand: the cosine of pictures, half as much for the event before the last, and the bonus of untouched items."""
    pictures = [[1.0, 0.0] if code % 2 == 0 else [0.0, 1.0] for code in range(ITEMS)]
    catalogue = Catalogue(colours().frame[["item_id"]].assign(image_vector=pictures))
    settings = {**SMALL, "max_epochs": 1, "match_half_life": 1.0}
    plain = TwoTower(**settings).fit(checkerboard(), catalogue=catalogue)
    model = TwoTower(**settings, content_match=0.5, new_item_bonus=0.25).fit(checkerboard(), catalogue=catalogue)
    asked = ask([[0, 1], [4]])
    alike = np.array([[0.5, 1.0], [1.0, 0.0]]) / np.array([[np.sqrt(1.25)], [1.0]])
    added = 0.5 * np.tile(alike, ITEMS // 2) + 0.25 * (np.arange(ITEMS) >= TOUCHED)
    np.testing.assert_allclose(model.score(asked), plain.score(asked) + added, atol=1e-5)
