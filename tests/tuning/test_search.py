"""A whole search: its budget, its files, going on after it was killed, and a comparison that searches first."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recsys_lab import pipeline
from recsys_lab.config import Config, compose
from recsys_lab.data.dataset import Dataset
from recsys_lab.data.fold import Split
from recsys_lab.errors import ConfigError, ModelError
from recsys_lab.runs import Run
from recsys_lab.tuning import search as searching
from recsys_lab.tuning.outcome import Outcome
from recsys_lab.tuning.study import finished, open_study
from recsys_lab.tuning.trial import Search, work
from tests.main_job import ROOT, SMALL
from tests.test_interruption import PATIENCE, kill_when, start
from tests.tuning.test_trial import Unread


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the start of processes, where they are not what is tested."""

    def run(task: Search, shares: list[int], seconds: float | None, tried: int, _: object) -> list[int]:
        for share in shares:
            work(task, share, seconds, tried)
        return [0] * len(shares)

    monkeypatch.setattr(searching, "_round", run)


def folder_of(outcome: Outcome) -> Path:
    return Path("experiments/studies") / outcome.name


def test_a_search_finds_what_is_best_and_goes_on_where_it_ended(composed: Any, dataset: Dataset, split: Split) -> None:
    """30 days, as configured, put A first; B comes first with short half-lives or windows."""
    config = composed("model=popular", "tune.trials=8", "tune.workers=2")
    unread = replace(split, test=Unread())  # type: ignore[arg-type]
    outcome = pipeline.tune(config, dataset, unread)
    assert len(outcome.trials) == 8
    assert outcome.configured == 0
    assert outcome.trial(0).values == pytest.approx([0.6309], abs=1e-4)
    assert outcome.trial(outcome.best).values == [1.0]
    assert outcome.best in outcome.front

    folder = folder_of(outcome)
    assert {path.name for path in folder.iterdir()} == {"journal.log", "study.json", "experiment", "report.html"}
    assert json.loads((folder / "study.json").read_text())["best"] == outcome.best
    assert [path.name for path in (folder / "experiment").iterdir()] == ["best.yaml"]
    best = composed("model=popular", "experiment=best", conf_dir=folder)
    settings = outcome.trial(outcome.best).settings
    assert {name: best["model"][name] for name in settings} == settings
    assert best["tune"]["study"] == outcome.name
    assert outcome.applied(config)["model"] == best["model"]

    again = pipeline.tune(config, dataset, unread)
    assert again.trials == outcome.trials
    more = pipeline.tune(config.but("tune.trials=9"), dataset, unread)
    assert more.trials[:8] == outcome.trials
    assert len(more.trials) == 9
    assert composed("model=popular", "model.half_life_days=3.0")["model"] != config["model"]


@pytest.mark.usefixtures("in_process")
def test_several_objectives_have_a_front(composed: Any, dataset: Dataset, split: Split) -> None:
    """Gini at one place: A and B are shown alike often, to everybody; so only NDCG decides."""
    config = composed("model=popular", "tune.trials=6", "tune.objectives=[ndcg@10,gini@1]")
    outcome = pipeline.tune(config, dataset, split)
    assert outcome.directions == ["maximize", "minimize"]
    best = [trial.number for trial in outcome.trials if trial.values and trial.values[0] == 1.0]
    assert sorted(outcome.front) == best
    files = {path.stem for path in (folder_of(outcome) / "experiment").iterdir()}
    assert files == {"best", *(f"trial-{number}" for number in best)}


@pytest.mark.usefixtures("in_process")
def test_what_to_type_next_is_what_was_searched(composed: Any, dataset: Dataset, split: Split, tmp_path: Path) -> None:
    """Spaces, another space of settings, and a folder of the user's own are all in the lines that are printed."""

    def retyped(line: str) -> Config:
        command, *words = shlex.split(line)[1:]
        folder = Path(words[1]) if words[0] == "--conf-dir" else None
        assert command in ("train", "tune")
        return compose(words[2:] if folder else words, conf_dir=folder)

    said = ["model=popular", "tune.trials=3", "tune.space={half_life_days: [1.0, 3.0]}", "paths.studies='my studies'"]
    for conf_dir in (None, tmp_path / "my conf"):
        if conf_dir is not None:
            (conf_dir / "model").mkdir(parents=True)
            (conf_dir / "model" / "mine.yaml").write_text("defaults: [popular]\n")
            said = ["model=mine", "+tune.space.half_life_days=[1.0,3.0]", *said[1:2], *said[3:]]
        outcome = pipeline.tune(composed(*said, conf_dir=conf_dir), dataset, split)
        trained, searched = map(retyped, outcome.next_steps)
        assert trained["model"] == {**trained["model"], **outcome.trial(outcome.best).settings}
        assert trained["tune"]["study"] == outcome.name
        assert (searched["tune"]["space"], searched["tune"]["trials"]) == (outcome.space, 6)
        assert pipeline.tune(searched.but("tune.trials=4"), dataset, split).name == outcome.name


@pytest.mark.usefixtures("in_process")
def test_a_comparison_searches_each_model_first(composed: Any, dataset: Dataset, split: Split) -> None:
    config = composed("models=[popular,ease]", "tune=true", "tune.trials=4")
    board = pipeline.compare(config, dataset, split)
    assert {study["model"]: len(study["trials"]) for study in board["studies"]} == {"popular": 4, "ease": 4}
    for entry in board["models"]:
        run = Run.load(Path("experiments/runs") / entry["run"])
        study = next(study for study in board["studies"] if study["model"] == entry["model"])
        chosen = next(trial for trial in study["trials"] if trial["number"] == study["best"])
        assert run.config["tune"]["study"] == study["name"]
        assert {name: run.config["model"][name] for name in chosen["settings"]} == chosen["settings"]
    page = pipeline.report(config, board, Path("page.html")).read_text()
    assert "<h2>Tuning</h2>" in page

    again = pipeline.compare(config, dataset, split)
    assert [entry["run"] for entry in again["models"]] == [entry["run"] for entry in board["models"]]
    assert again["studies"] == board["studies"]


def test_a_model_without_a_space_is_told_before_anything_is_trained(
    composed: Any, dataset: Dataset, split: Split, tmp_path: Path
) -> None:
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "steady.yaml").write_text("defaults: [popular]\n")
    config = composed("models=[popular,steady]", "tune=true", conf_dir=tmp_path / "mine")
    with pytest.raises(ConfigError, match=r"nothing says what to try for steady; write conf/tune/steady\.yaml"):
        pipeline.compare(config, dataset, split)
    assert not Path("experiments").exists()


@pytest.mark.usefixtures("in_process")
def test_nothing_but_failures_is_one_error(composed: Any, dataset: Dataset, split: Split) -> None:
    config = composed("model=ease", "tune.trials=20", "model.max_memory_gb=0")
    with pytest.raises(ModelError, match=r"nothing but failures in literal-ease-.*more than max_memory_gb=0"):
        pipeline.tune(config, dataset, split)


def test_threads_are_shared_among_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with searching._threads_for(3):
        assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "2"
    assert os.environ["OMP_NUM_THREADS"] == "8"
    assert "MKL_NUM_THREADS" not in os.environ


def test_a_process_that_has_not_begun_does_not_hear_ctrl_c() -> None:
    """It would show a traceback of its imports."""
    code = "import signal; signal.raise_signal(signal.SIGINT); print(signal.sigpending())"
    with searching._deaf():
        inside = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "SIGINT" in inside
    with pytest.raises(KeyboardInterrupt), searching._deaf():
        signal.raise_signal(signal.SIGINT)


def test_a_killed_search_goes_on(tmp_path: Path) -> None:
    """SIGKILL while two processes are at it: what was finished is kept, and the budget is what it was."""
    words = ["tune", "model=popular", *SMALL, "tune.workers=2"]

    def journals() -> list[Path]:
        return list((tmp_path / "experiments/studies").glob("*/journal.log"))

    def tried() -> int:
        return len(finished(open_study(journals()[0].parent.name, str(journals()[0]), ["maximize"])))

    kill_when(start(tmp_path, *words, "tune.trials=500"), lambda: bool(journals()) and tried() >= 3)
    kept = tried()
    done = subprocess.run(
        [sys.executable, "-m", "recsys_lab.cli", *words, f"tune.trials={kept + 4}", "tune.workers=1", "--json"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert len(json.loads(done.stdout)["trials"]) >= kept + 4
    assert len(journals()) == 1


def test_the_switch_is_short() -> None:
    assert compose(["tune=true"])["tune"]["enabled"] is True
    assert compose(["tune=false"])["tune"]["enabled"] is False
    assert compose(["model=ease"]).choices["tune"] == "ease"
    assert compose(["tune.trials=3", "model=als"])["tune"]["trials"] == 3
