"""A job killed in the middle leaves nothing that is picked up afterwards, and the next one works."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from recsys_lab.runs import find_run, list_runs
from tests.main_job import QUIET, ROOT, SMALL

PATIENCE = 120  # seconds
SASREC = ["model.width=16", "model.max_history=10", "model.batch_size=64"]


def start(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "recsys_lab.cli", *words]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kill_when(process: subprocess.Popen[bytes], seen: Callable[[], bool]) -> None:
    """SIGKILL at the first moment at which ``seen`` is true; fails if the process ends before."""
    deadline = time.monotonic() + PATIENCE
    while not seen():
        assert process.poll() is None, "the job ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_killed_training_is_no_run(tmp_path):
    runs = tmp_path / "experiments" / "runs"
    prepared = tmp_path / "experiments" / "prepared"
    slow = ["train", "model=sasrec", "model.max_epochs=10000", "model.patience=10000", *SMALL, *QUIET]
    process = start(tmp_path, *slow)
    kill_when(process, lambda: any(path.name.startswith("shop-") for path in prepared.glob("*")))
    assert list_runs(runs) == []

    # the folder is being written: everything is there but the final name
    process = start(tmp_path, "train", "model=ease", *SMALL)
    kill_when(process, lambda: any(runs.glob(".partial-*/model/*")))
    assert list_runs(runs) == []
    assert len(list(runs.glob(".partial-*"))) == 1

    assert start(tmp_path, "train", "model=ease", *SMALL).wait(PATIENCE) == 0
    assert find_run(runs, "latest").model == "ease"
    assert not list(runs.glob(".partial-*"))


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_end(tmp_path):
    """Killed while it looks for the number of epochs, and again while it trains on all data."""
    words = ["train", "model=sasrec", *SASREC, "model.max_epochs=8", "model.patience=4", "model.average=0.9"]
    words += [*SMALL, *QUIET]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
    assert start(whole, *words).wait(PATIENCE) == 0
    runs = broken / "experiments" / "runs"
    for stage in ("training.safetensors", "refit/training.safetensors"):
        kill_when(start(broken, *words), lambda stage=stage: any(runs.glob(f".unfinished-*/{stage}")))
        assert list_runs(runs) == []
    assert start(broken, *words).wait(PATIENCE) == 0
    assert not list(runs.glob(".unfinished-*"))

    expected, found = (find_run(folder / "experiments" / "runs", "latest") for folder in (whole, broken))
    assert found.metrics == expected.metrics
    assert [entry["valid_ndcg@10"] for entry in found.curve] == [entry["valid_ndcg@10"] for entry in expected.curve]
    weights = [load_file(run.folder / "model" / "arrays.safetensors") for run in (expected, found)]
    for name, array in weights[0].items():
        np.testing.assert_array_equal(array, weights[1][name])


def test_a_killed_preparation_is_no_data(tmp_path):
    prepared = tmp_path / "experiments" / "prepared"
    kill_when(start(tmp_path, "data", "prepare", *SMALL[:3]), lambda: any(prepared.glob(".partial-*")))
    assert not list(prepared.glob("shop-*"))
    assert start(tmp_path, "data", "prepare", *SMALL[:3]).wait(PATIENCE) == 0
    assert [path.name[:5] for path in prepared.iterdir()] == ["shop-"]


@pytest.mark.slow
def test_a_killed_export_is_no_bundle(tmp_path):
    bundles = tmp_path / "export" / "bundles"
    assert start(tmp_path, "train", "model=ease", *SMALL).wait(PATIENCE) == 0
    kill_when(start(tmp_path, "export", "latest"), lambda: any(bundles.glob("*/.partial-*")))
    assert not list(bundles.glob("*/[!.]*/manifest.json"))
    assert start(tmp_path, "export", "latest").wait(PATIENCE) == 0
    assert len(list(bundles.glob("*/[!.]*/manifest.json"))) == 1
    assert not list(bundles.glob("*/.partial-*"))
