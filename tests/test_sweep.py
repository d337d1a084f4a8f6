"""Several values of some settings, each combination a run."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from statistics import stdev
from types import SimpleNamespace
from typing import Any

import pytest

from recsys_lab import pipeline
from recsys_lab.config import Config, combinations
from recsys_lab.data.dataset import Dataset
from recsys_lab.errors import ConfigError, ModelError, SplitError
from recsys_lab.report.sweep import ranked, render, to_dict
from recsys_lab.sweep import Swept, over_seeds, sweep
from recsys_lab.terminal import console
from tests.main_job import SMALL


@pytest.fixture
def small(tmp_path: Path) -> list[str]:
    """A small shop, and runs that nobody else sees."""
    return [*SMALL, f"paths.runs={tmp_path}"]


def test_every_combination_in_the_order_written() -> None:
    found = combinations(["data=shop", "model=ease,als", "metrics.cutoffs=[5],[5,10]", "+params.ease.regularization=3"])
    assert [values for values, _ in found] == [
        {"model": "ease", "metrics.cutoffs": "[5]"},
        {"model": "ease", "metrics.cutoffs": "[5,10]"},
        {"model": "als", "metrics.cutoffs": "[5]"},
        {"model": "als", "metrics.cutoffs": "[5,10]"},
    ]
    assert found[1][1] == ["data=shop", "model=ease", "metrics.cutoffs=[5,10]", "+params.ease.regularization=3"]


@pytest.mark.parametrize(
    ("override", "values"),
    [
        ("seed=range(1,4)", ["1", "2", "3"]),
        ("seed=3,1,3", ["3", "1"]),
        ("+params.als.factors=choice(8,16)", ["8", "16"]),
        ("data.name='a b','c'", ["'a b'", "'c'"]),
    ],
)
def test_values_as_hydra_lists_them(override: str, values: list[str]) -> None:
    (name, key) = (override.partition("=")[0].lstrip("+"), override.partition("=")[0])
    assert combinations([override]) == [({name: value}, [f"{key}={value}"]) for value in values]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], "no setting has several values; write seed=1,2,3"),
        (["model=ease", "=,"], "no setting has several values"),
        (["seed=interval(1,3)"], r"seed=interval\(1,3\): its values are not listed; .* `recsys-lab tune` searches"),
        (["model=glob(e*)"], "its values are not listed"),
        (["data.name=choice(a,b),c"], "its values are not listed"),
        (["seed=range(3,1)"], r"seed=range\(3,1\): lists no value"),
        (["seed=1,2", "model=ease", "++seed=7"], r"seed=1,2: \+\+seed=7 says something else about it"),
        (["seed=1,2", "seed=3,4"], "seed=1,2: seed=3,4 says something else about it"),
    ],
)
def test_what_is_no_list_of_values(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        combinations(overrides)


@pytest.mark.usefixtures("in_job")
def test_each_is_the_run_that_train_makes_and_is_made_once(typed: Any, small: list[str]) -> None:
    words = ("sweep", "model=popular,ease", "metrics.bootstrap=0,10", *small, "--json")
    code, out, err = typed(*words)
    assert code == 0, err
    found = json.loads(out)
    chosen = [tuple(run["settings"].values()) for run in found["runs"]]
    assert sorted(chosen) == [("ease", "0"), ("ease", "10"), ("popular", "0"), ("popular", "10")]
    means = [run["metrics"][found["primary"]]["mean"] for run in found["runs"]]
    assert means == sorted(means, reverse=True)
    assert found["over_seeds"] == []
    names = {run["run"] for run in found["runs"]}
    assert {run["run"] for run in json.loads(typed(*words)[1])["runs"]} == names, "finished runs are taken"
    assert not {run["run"] for run in json.loads(typed(*words, "--fresh")[1])["runs"]} & names
    code, out, _ = typed("train", "model=ease", "metrics.bootstrap=0", *small, "--json")
    alone = json.loads(out)
    (same,) = (run for run in found["runs"] if [*run["settings"].values()] == ["ease", "0"])
    assert alone["metrics"] == same["metrics"]


@pytest.mark.usefixtures("in_job")
def test_a_mistake_in_the_last_combination_is_told_before_the_first_is_trained(
    monkeypatch: pytest.MonkeyPatch, small: list[str]
) -> None:
    monkeypatch.setattr(pipeline, "train", lambda *_, **__: pytest.fail("it was trained"))
    wrong = ["model=ease,nope", "metrics.primary=ndcg@10,ndcg@11", "split.valid_window=21d,yesterday"]
    wrong += ["rerank=none,mmr rerank.mix=2", "tracker=none,wandb tracker.mode=null", "model.regularization=10,-5"]
    for words in wrong:
        with pytest.raises(ConfigError):
            sweep([*small, "model=ease", *words.split()] if "model=" not in words else [*small, words])


@pytest.mark.usefixtures("in_job")
def test_a_split_that_cannot_be_is_listed_as_refused(small: list[str]) -> None:
    others = [setting for setting in small if not setting.startswith("split.cutoff")]
    swept = sweep([*others, "model=popular", "split.cutoff=21d,40000d"])
    assert [each.run is None for each in swept] == [False, True]
    with pytest.raises(SplitError):
        sweep([*others, "model=popular", "split.cutoff=50000d,40000d"])


@pytest.mark.usefixtures("in_job")
def test_what_is_asked_twice_is_trained_and_prepared_once(small: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    prepared: list[str] = []
    prepare = pipeline.prepare

    def counting(config: Config) -> Dataset:
        prepared.append(config.choices["model"])
        return prepare(config)

    monkeypatch.setattr(pipeline, "prepare", counting)
    swept = sweep([*small, "model=popular,ease", "+params.ease.regularization=1,2"], fresh=True)
    names = [each.run.name for each in swept if each.run is not None]
    assert len(names) == 4
    assert len(set(names)) == 3, "popular does not ask what ease's regularization is"
    assert prepared == ["popular"]


@pytest.mark.usefixtures("in_job")
def test_seeds_that_make_data_of_their_own_are_told(small: list[str]) -> None:
    screen = io.StringIO()
    swept = sweep([*small, "model=popular", "seed=1,2"])
    assert [group.datasets for group in over_seeds(swept, "ndcg@10")] == [2]
    render(swept, console(file=screen, width=100))
    assert "data.seed=7 keeps them the same" in screen.getvalue()


@pytest.mark.usefixtures("in_job")
def test_models_that_refuse_the_data_are_listed_unless_all_do(
    monkeypatch: pytest.MonkeyPatch, small: list[str]
) -> None:
    train = pipeline.train

    def picky(config: Any, *asked: Any, **named: Any) -> Any:
        if config["seed"] in refused:
            raise ModelError(f"not with seed {config['seed']}")
        return train(config, *asked, **named)

    monkeypatch.setattr(pipeline, "train", picky)
    refused = {1}
    asked = [*small, "model=popular", "data.seed=7", "seed=1,2"]
    swept = sweep(asked, fresh=True)
    assert [(each.error, each.run is None) for each in swept] == [("not with seed 1", True), (None, False)]
    assert to_dict(swept)["runs"][-1] == {"settings": {"seed": "1"}, "error": "not with seed 1"}
    screen = io.StringIO()
    render(swept, console(file=screen, width=100))
    assert "not with seed 1" in screen.getvalue()
    refused = {1, 2}
    with pytest.raises(ModelError, match="not with seed 2"):
        sweep(asked, fresh=True)


def measured(mean: float, **values: str) -> Swept:
    run: Any = SimpleNamespace(
        metrics={"ndcg@10": {"mean": mean}},
        config={"metrics": {"primary": "ndcg@10"}},
        fingerprints={"data": "same"},
    )
    return Swept(values, run)


def test_seeds_of_the_same_settings_are_taken_together() -> None:
    swept = [
        measured(0.1, model="a", seed="1"),
        measured(0.3, model="a", seed="2"),
        measured(0.2, model="b", seed="1"),
        Swept({"model": "b", "seed": "2"}, error="refused"),
        measured(float("nan"), model="b", seed="3"),
    ]
    (only,) = over_seeds(swept, "ndcg@10")
    assert (only.values, only.count, only.mean) == ({"model": "a"}, 2, pytest.approx(0.2))
    assert only.datasets == 1
    assert only.deviation == pytest.approx(stdev([0.1, 0.3]))
    assert over_seeds([replace(each, values={"model": each.values["model"]}) for each in swept], "ndcg@10") == []


def test_best_first_and_those_without_a_number_last() -> None:
    swept = [Swept({"model": "a"}, error="refused"), measured(float("nan"), model="b"), measured(0.1, model="c")]
    swept += [measured(0.3, model="d")]
    assert [each.values["model"] for each in ranked(swept)] == ["d", "c", "a", "b"]
