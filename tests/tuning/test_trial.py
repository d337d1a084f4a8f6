"""One configuration at a time: what is measured, what fails, what is stopped, and that the test part is not read."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.trial import TrialState

from recsys_lab import pipeline
from recsys_lab.config import compose
from recsys_lab.data.fold import Split
from recsys_lab.errors import ConfigError, SplitError
from recsys_lab.tuning.space import Space
from recsys_lab.tuning.study import FUTILE, finished
from recsys_lab.tuning.trial import Search, directions, measure, validation_only, work

Given = Callable[..., Search]


class Unread:
    """Stands where the test part would be; nobody may look at it."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(f"the test part was asked for {name}")


@pytest.fixture
def given(composed: Any, split: Split, tmp_path: Path) -> Given:
    def search(model: str, objectives: tuple[str, ...] = ("ndcg@10",), pruner: str = "none", **tried: Any) -> Search:
        config = composed(f"model={model}")
        space = Space.of(tried, config["model"], model)
        unread = replace(split, test=Unread())  # type: ignore[arg-type]
        seen = validation_only(unread)
        return Search("study", str(tmp_path / "journal.log"), pruner, config, space, seen, objectives)

    return search


def test_what_is_measured_is_the_validation_part(given: Given, split: Split) -> None:
    """B is second for who counts all events, first for who counts the latest: ndcg@10 1 / log2(3) and 1."""
    search = given("popular", half_life_days=[3.0, None])
    assert search.split.test is split.valid
    assert measure(search, {"half_life_days": None})[0] == pytest.approx([1 / np.log2(3)])
    assert measure(search, {"half_life_days": 3.0}) == ([1.0], 0)


def test_a_process_is_sent_no_test_part(given: Given, split: Split) -> None:
    sent = pickle.loads(pickle.dumps(given("popular", half_life_days=[3.0, None])))  # noqa: S301
    assert sent.split.test.cutoff == sent.split.valid.cutoff < split.test.cutoff
    assert not sent.split.refit


def test_no_validation_part_is_a_split_error(split: Split) -> None:
    with pytest.raises(SplitError, match=re.escape("widen split.valid_window")):
        validation_only(replace(split, valid=None))


def test_failures_are_recorded_and_others_go_on(given: Given) -> None:
    search = given("ease", regularization=[-1.0, 100.0])
    work(search, 12, None, seed=0)
    trials = finished(search.open())
    failed = [trial for trial in trials if trial.state is TrialState.FAIL]
    assert len(trials) == 12
    assert 0 < len(failed) < 12
    for trial in failed:
        assert trial.params == {"regularization": -1.0}
        assert "regularization: -1.0 leaves the Gram matrix singular" in trial.user_attrs["error"]


def test_who_shares_a_search_shares_its_budget(given: Given, composed: Any) -> None:
    """Each was told of the whole budget before the other had tried anything."""
    search = replace(given("ease", regularization=[1.0, 100.0]), config=composed("model=ease", "tune.trials=5"))
    work(search, 3, None, seed=0)
    work(search, 5, None, seed=1)
    assert len(finished(search.open())) == 5


def test_nothing_but_failures_is_given_up(given: Given) -> None:
    search = given("ease", regularization=[-1.0, -2.0])
    work(search, 50, None, seed=0)
    assert len(finished(search.open())) == FUTILE


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), True),
        (np.linalg.LinAlgError("Singular matrix"), True),
        (RuntimeError("shapes differ"), False),
        (KeyError("items"), False),
    ],
)
def test_want_of_memory_is_a_failed_trial_and_a_bug_is_none(
    given: Given, monkeypatch: pytest.MonkeyPatch, error: Exception, expected: bool
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(pipeline, "fit", refuse)
    search = given("ease", regularization=[1.0, 100.0])
    if not expected:
        with pytest.raises(type(error)):
            work(search, 3, None, seed=0)
        assert finished(search.open()) == []
        return
    work(search, 3, None, seed=0)
    assert [trial.state for trial in finished(search.open())] == [TrialState.FAIL] * 3


def test_hopeless_training_is_stopped_between_epochs(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores of a made-up training: .5 with the right choice, 0 with the wrong one, in each of ten epochs."""
    fitted, epochs = pipeline.fit, []

    def in_order(search: Search) -> list[TrialState]:
        study = search.open()
        for days in (*[3.0] * 6, *[30.0] * 2):
            study.enqueue_trial({"half_life_days": days})
        work(search, 8, None, seed=0)
        return [trial.state for trial in finished(search.open())]

    def train(config: Any, split: Split, *, watch: Callable[[float], None]) -> Any:
        epochs.append(0)
        for _ in range(10):
            epochs[-1] += 1
            watch(0.5 if config["model"]["half_life_days"] == 3.0 else 0.0)
        return fitted(config, split)

    monkeypatch.setattr(pipeline, "fit", train)
    search = given("popular", pruner="median", half_life_days=[3.0, 30.0])
    right, wrong = [TrialState.COMPLETE] * 6, [TrialState.PRUNED] * 2
    assert in_order(search) == [*right, *wrong]
    assert epochs == [10] * 6 + [5] * 2  # four epochs are always waited for

    epochs.clear()
    several = given("popular", ("ndcg@10", "coverage@1"), "median", half_life_days=[3.0, 30.0])
    assert in_order(replace(several, name="several")) == [TrialState.COMPLETE] * 8
    assert epochs == [10] * 8  # one number of several does not tell who is hopeless


def test_a_neural_model_tells_who_watches(split: Split) -> None:
    class EnoughError(Exception):
        pass

    scores: list[float] = []

    def watch(score: float) -> None:
        scores.append(score)
        if len(scores) == 2:
            raise EnoughError

    settings = [
        "model=sasrec",
        "split.exclude_seen=false",
        "model.width=8",
        "model.patience=50",
        "trainer.enable_progress_bar=false",
    ]
    with pytest.raises(EnoughError):
        pipeline.fit(compose(settings), validation_only(split), watch=watch)
    assert len(scores) == 2
    assert all(0 < score <= 1 for score in scores)


@pytest.mark.parametrize(
    ("objectives", "message"),
    [
        (("ndgc@10",), "'ndgc@10' is not measured; use name@k, precision"),
        (("ndcg",), "'ndcg' is not measured"),
        (("ndcg@0",), "'ndcg@0' is not measured"),
        (("ndcg@10", "ndcg@10"), "names one twice"),
    ],
)
def test_an_objective_that_is_not_measured_is_one_line(objectives: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        directions(objectives)


def test_less_inequality_is_better() -> None:
    assert directions(("gini@10", "ndcg@5", "coverage@20")) == ["minimize", "maximize", "maximize"]
