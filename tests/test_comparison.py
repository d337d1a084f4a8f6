"""The leaderboard: one order for everything, and every file of ``conf/model`` a model of its own."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recsys_lab import pipeline
from recsys_lab.comparison import leaderboard
from recsys_lab.config import compose
from recsys_lab.evaluation import Evaluation
from recsys_lab.report.leaderboard import verdicts
from recsys_lab.runs import Run, find_run, list_runs

EVENTS = [(f"u{user}", time, "ABCD"[(user + time) % 4]) for user in range(6) for time in (1, 2, 8)]
SPLIT = ["split.cutoff=1970-01-01T00:00:05", "split.valid_window=null"]
NO_TEXT: dict[str, Any] = dict.fromkeys(["created", "fingerprint"], "")
EMPTY: dict[str, Any] = {name: {} for name in ("fingerprints", "config", "split", "audit", "lineage")}


def run(root: Path, model: str, values: list[float]) -> Run:
    folder = root / model
    folder.mkdir()
    metrics: dict[str, Any] = {"ndcg@10": {"mean": float(np.mean(values)), "ci95": None}}
    table = pd.DataFrame({"user": range(len(values)), "ndcg@10": np.array(values, np.float32)})
    Evaluation(table, metrics).save(folder)
    return Run(
        **NO_TEXT, **EMPTY, name=model, model=model, seed=0, overrides=[], metrics=metrics, fit_seconds=0,
        queries_per_second=0, peak_memory_mb=0, folder=folder,
    )  # fmt: skip


def test_a_difference_in_the_last_bit_leaves_one_leader(make_dataset, tmp_path):
    """The same four values in another order: the means differ by 1e-16, and float32 sums the other way."""
    second, third = 0.6309297535714575, 0.38685280723454163
    runs = [run(tmp_path, "a", [second, third, second, 1.0]), run(tmp_path, "b", [third, 1.0, second, second])]
    board = leaderboard(
        runs, [], make_dataset(EVENTS), primary="ndcg@10", bootstrap=9, seed=0,
        created=datetime(2026, 1, 1, tzinfo=UTC), root=tmp_path,
    )  # fmt: skip
    leader, other = (entry["model"] for entry in board["models"])
    assert verdicts(board) == {leader: "leader", other: "tie"}


def test_of_two_runs_in_one_second_the_later_is_the_latest(make_dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dataset = make_dataset(EVENTS)
    for model, moment in (("popular", 250_000), ("itemknn", 500_000)):
        config = compose([f"model={model}", *SPLIT])
        split = pipeline.make_split(config, dataset)
        pipeline.train(config, dataset, split, clock=partial(datetime, 2026, 1, 1, 0, 0, 0, moment, UTC))
    found = list_runs(config.path("runs"))
    assert [run.model for run in found] == ["itemknn", "popular"]
    assert find_run(config.path("runs"), "latest").model == "itemknn"


def test_two_files_that_name_one_class_are_two_models(make_dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "steady.yaml").write_text("defaults: [popular]\nhalf_life_days: null\n")
    dataset = make_dataset(EVENTS)
    config = compose(["models=[popular,steady,popular]", *SPLIT], conf_dir=tmp_path / "mine")
    board = pipeline.compare(config, dataset, pipeline.make_split(config, dataset))
    assert {entry["model"] for entry in board["models"]} == {"popular", "steady"}
    assert len(board["comparisons"]) == 1


def test_one_setting_counts_for_the_intervals_of_means_and_of_differences(make_dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dataset = make_dataset([*EVENTS, ("u6", 1, "A"), ("u6", 8, "E"), ("u7", 2, "D"), ("u7", 9, "F")])
    intervals = {}
    for draws in (0, 1, 200):
        config = compose(["models=[popular,itemknn]", f"metrics.bootstrap={draws}", *SPLIT])
        board = pipeline.compare(config, dataset, pipeline.make_split(config, dataset))
        (comparison,) = board["comparisons"]
        intervals[draws] = [board["models"][0]["metrics"]["ndcg@10"]["ci95"], comparison["ci95"]]
    assert intervals[0] == [None, None]
    assert [high - low for low, high in intervals[1]] == [0, 0]
    assert all(high > low for low, high in intervals[200])


def test_a_model_that_learned_nothing_is_told(make_dataset, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    dataset = make_dataset([*EVENTS, ("u6", 1, "A"), ("u6", 8, "E")])
    for l1, said in ((0.01, 0), (1e12, 1)):
        config = compose(["model=slim", f"model.l1={l1}", *SPLIT])
        pipeline.train(config, dataset, pipeline.make_split(config, dataset))
        assert sum("slim: has no opinion on" in record.getMessage() for record in caplog.records) == said


def test_params_of_a_model_that_is_left_out_do_no_harm(make_dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dataset = make_dataset(EVENTS)
    config = compose(["models=[popular]", "+params.ease.regularization=3", *SPLIT])
    board = pipeline.compare(config, dataset, pipeline.make_split(config, dataset))
    assert [entry["model"] for entry in board["models"]] == ["popular"]


@pytest.mark.parametrize("name", ["queries.py", "rerank/lists.py"])
def test_the_code_that_is_shared_with_the_server_counts(tmp_path, monkeypatch, name):
    """Padding, top-k and filling decide numbers: a run made with others is not taken again."""
    folder = tmp_path / "serving_min"
    folder.mkdir()
    for part in pipeline.SHARED_CODE:
        source = pipeline.PACKAGE.parent / "serving_min" / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / part)
    for part in pipeline.DECIDING_CODE:
        path = tmp_path / "recsys_lab" / part
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(pipeline.PACKAGE / part)
    monkeypatch.setattr(pipeline, "PACKAGE", tmp_path / "recsys_lab")
    before = pipeline.code_fingerprint()
    (folder / name).write_text("changed")
    assert pipeline.code_fingerprint() != before


def test_what_the_deciding_code_takes_from_the_server_counts():
    """Code that moves to the server still decides numbers; what is left out only serves, logs or reads files."""
    lab, server = pipeline.PACKAGE, pipeline.PACKAGE.parent / "serving_min"
    counted = [lab / part for part in pipeline.DECIDING_CODE] + [server / part for part in pipeline.SHARED_CODE]
    files = {file for path in counted for file in (path.rglob("*.py") if path.is_dir() else [path])}
    taken = {name for file in files for name in re.findall(r"from serving_min\.(\w+)", file.read_text())}
    serving = {"audit", "bundle", "composite", "engine", "errors", "manifest", "messages", "pseudonyms"}
    serving |= {"settings", "sinks", "vectors", "item_codes", "item_vectors", "mapped", "texts"}
    assert taken - {Path(part).stem for part in pipeline.SHARED_CODE} == serving
