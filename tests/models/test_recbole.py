"""RecBole's models under our contract: on the checkerboard always, on MovieLens-100k where it is at hand."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning import seed_everything
from pytorch_lightning.utilities.seed import isolate_rng

from recsys_lab import pipeline
from recsys_lab.data.fold import Fold, Split
from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError, ExportError, ModelError
from recsys_lab.models.base import Recommender
from recsys_lab.models.recbole import RecBole
from tests.export.planted import export
from tests.models.conformance import ITEMS, TOUCHED, RecommenderConformance, ask, checkerboard, colours

pytest.importorskip("recbole")

SMALL: dict[str, Any] = {"max_history": 10, "batch_size": 64, "max_epochs": 4, "learning_rate": 0.01}
SEVEN = ["BPR", "LightGCN", "NeuMF", "SASRec", "GRU4Rec", "BERT4Rec", "WideDeep"]


class TestSASRec(RecommenderConformance):
    """A sequential model: it meets the whole contract."""

    model = RecBole
    settings = {**SMALL, "model": "SASRec", "settings": {"n_layers": 1, "hidden_size": 16}}


class TestLightGCN(RecommenderConformance):
    """A model of user ids: for the strangers that the suite asks about, popularity answers."""

    model = RecBole
    settings = {**SMALL, "model": "LightGCN", "settings": {"embedding_size": 16}}
    personal = False

    def test_training_users_get_lists_of_their_own(self, fitted: Recommender) -> None:
        lists = fitted.recommend(checkerboard().histories(10**9), 3)
        assert not lists.filled.any()
        assert (lists.items % 2 == np.arange(len(lists))[:, None] % 2).mean() > 0.95


def fold_of(log: InteractionLog) -> Fold:
    """The last event of each user is the target."""
    last = np.zeros(len(log), np.bool_)
    last[log.offsets[1:] - 1] = True
    train = log.where(~last)
    return Fold(
        train=train,
        catalogue=colours(),
        queries=train.histories(10**9),
        users=np.arange(log.n_users, dtype=np.int32),
        target_offsets=np.arange(log.n_users + 1, dtype=np.int64),
        target_items=log.items[last],
        n_targets=np.ones(log.n_users, np.int64),
        target_times=log.times[last],
        cutoff=10**9,
    )


@pytest.mark.parametrize("name", [*SEVEN, "EASE", "DIEN", "SASRecF", "DSSM", "DeepFM"])
def test_a_model_is_trained_chosen_on_our_fold_saved_and_loaded(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SASRecF and DSSM see categories and words, DeepFM prices too, DIEN has a data set of its own."""
    monkeypatch.chdir(tmp_path)
    fold = fold_of(checkerboard())
    fields = ["category", "text", "price"] if name == "DeepFM" else None
    model = RecBole(model=name, item_fields=fields, **{**SMALL, "max_epochs": 2})
    model.fit(fold.train, catalogue=fold.catalogue, valid=fold)
    scores = [entry["valid_ndcg@10"] for entry in model.history]
    assert scores[model.best_epoch - 1] == max(scores)
    assert list(tmp_path.iterdir()) == [], "RecBole left files behind"
    lists = model.recommend(fold.queries, 5)
    assert not lists.filled.any()
    model.save(tmp_path / "model")
    again = Recommender.load(tmp_path / "model").recommend(fold.queries, 5)
    np.testing.assert_array_equal(again.items, lists.items)
    np.testing.assert_array_equal(again.scores, lists.scores)


def test_the_best_epoch_s_weights_are_kept_and_patience_ends_the_training() -> None:
    """What counts is what the validation says, so it is told: .1, .3, .2, .2 with a patience of two."""
    fold, said = fold_of(checkerboard()), iter([0.1, 0.3, 0.2, 0.2, 0.9])
    model = RecBole(model="BPR", **{**SMALL, "max_epochs": 9, "patience": 2})
    snapshots = []

    def tell(_: dict[str, float]) -> float:
        snapshots.append(model.score(fold.queries))
        return next(said)

    model._validation = lambda _: tell  # type: ignore[method-assign, assignment]
    model.fit(fold.train, catalogue=fold.catalogue, valid=fold)
    assert (len(model.history), model.best_epoch) == (4, 2)
    np.testing.assert_array_equal(model.score(fold.queries), snapshots[1])


def test_strangers_are_counted_in_the_log_and_popularity_answers_them(caplog: pytest.LogCaptureFixture) -> None:
    model = RecBole(model="BPR", **SMALL).fit(checkerboard())
    queries = ask([[0, 2, 4], [1, 3]])
    with caplog.at_level(logging.WARNING):
        assert model.recommend(queries, 3).filled.all()
        model.recommend(queries, 3)
    assert caplog.messages == [
        "recbole BPR knows training users only: 2 of 2 queries (100.0 %) are strangers and get popular items"
    ]


def test_the_same_seed_trains_the_same_and_the_caller_s_draws_are_untouched() -> None:
    queries = checkerboard().histories(10**9)
    with isolate_rng():
        seed_everything(1, verbose=False)
        expected = torch.rand(1)
        seed_everything(1, verbose=False)
        first = RecBole(model="NeuMF", **SMALL).fit(checkerboard()).score(queries)
        assert torch.rand(1) == expected
    second = RecBole(model="NeuMF", **SMALL).fit(checkerboard()).score(queries)
    other = RecBole(model="NeuMF", **{**SMALL, "seed": 8}).fit(checkerboard()).score(queries)
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_what_a_watcher_raises_ends_the_training_as_it_is() -> None:
    class HopelessError(Exception):
        pass

    def watch(_: float) -> None:
        raise HopelessError

    fold = fold_of(checkerboard())
    model = RecBole(model="BPR", **SMALL)
    model.watch = watch
    with pytest.raises(HopelessError):
        model.fit(fold.train, catalogue=fold.catalogue, valid=fold)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"model": "LightFM"}, ConfigError, "RecBole has no 'LightFM' here"),
        ({"model": "lightgcn"}, ConfigError, "write it as its list does: LightGCN"),
        ({"model": "CKE"}, ModelError, "recbole CKE: needs a knowledge graph"),
        ({"model": "S3Rec"}, ModelError, "trains in stages"),
        ({"model": "BPR", "settings": {"layers": 3}}, ConfigError, "BPR has no 'layers'.*'embedding_size'"),
        ({"model": "SASRec", "settings": {"n_heads": 3}}, ModelError, "RecBole fails with ValueError"),
        ({"model": "BPR", "learning_rate": 1e30}, ModelError, "loss is nan"),
        ({"model": "BPR", "item_fields": ["colour"]}, ConfigError, "item_fields"),
    ],
)
def test_what_recbole_cannot_do_is_one_line(settings: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        RecBole(**{**SMALL, **settings}).fit(checkerboard())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("settings", [{"settings": {"epochs": 3}}, {"max_history": 0}, {"patience": 0}])
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"epochs|max_history|patience"):
        RecBole(**settings)


def test_untouched_items_are_no_candidates() -> None:
    model = RecBole(model="BPR", **SMALL).fit(checkerboard())
    assert np.flatnonzero(~model.candidates).tolist() == list(range(TOUCHED, ITEMS))


def test_no_bundle_holds_it(tmp_path: Path) -> None:
    fold = fold_of(checkerboard())
    model = RecBole(model="BPR", **{**SMALL, "max_epochs": 1}).fit(fold.train, catalogue=fold.catalogue)
    with pytest.raises(ExportError, match="recbole: this model stays in the lab"):
        export(model, fold, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_s_spelling_chooses_the_model() -> None:
    built = pipeline.compose(["model=recbole", "recbole.model=LightGCN", "+recbole.settings.n_layers=3"]).build("model")
    assert (built.model, built.settings) == ("LightGCN", {"n_layers": 3})
    assert pipeline.compose(["model=recbole", "model.model=FPMC"]).build("model").model == "FPMC"


def test_a_file_of_one_s_own_names_another_model_for_the_leaderboard(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "neumf.yaml").write_text("defaults: [recbole, _self_]\nmodel: NeuMF\nmax_epochs: 3\n")
    built = pipeline.compose(["model=neumf"], conf_dir=tmp_path).build("model")
    assert (built.model, built.max_epochs) == ("NeuMF", 3)


@pytest.fixture(scope="module")
def movielens(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Split:
    folder = tmp_path_factory.mktemp("movielens")
    config = pipeline.compose(
        ["experiment=movielens-100k", f"data.path={shared_data / 'movielens-100k'}", f"paths.prepared={folder}"]
    )
    return pipeline.make_split(config, pipeline.prepare(config))


@pytest.mark.slow
@pytest.mark.parametrize("name", SEVEN)
def test_movielens(name: str, movielens: Split) -> None:
    """Forty users, one epoch: every test query is recognised, or answered from its history."""
    fold = movielens.test
    few = fold.train.where(fold.train.users < 40)
    model = RecBole(model=name, max_epochs=1, max_history=10, batch_size=512, exclude_seen=True)
    model.fit(few, catalogue=fold.catalogue)
    mine = np.flatnonzero(fold.users < 40)
    lists = model.recommend(fold.queries.take(mine), 10)
    assert not lists.filled.any()
    assert np.isfinite(lists.scores).all()
