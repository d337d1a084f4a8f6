"""The main job through the command line, on a small shop: what tests of the commands begin with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SMALL = ["data.n_users=300", "data.n_items=120", "data.n_events=9000", "split.cutoff=21d", "split.valid_window=21d"]
TINY_SASREC = ["+params.sasrec.max_epochs=2", "+params.sasrec.width=16", "+params.sasrec.max_history=10"]
QUIET = ["trainer.enable_progress_bar=false"]

Type = Callable[..., tuple[int, str, str]]


def run_main_job(folder: Path) -> None:
    """`compare` (twice), `report` and `export best`; what each said lies in ``folder``, see ``said``."""
    command = [sys.executable, "-m", "recsys_lab.cli"]
    models = ["models=[popular,ease,sasrec]", *SMALL, *TINY_SASREC, *QUIET]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}

    def run(*words: str) -> str:
        done = subprocess.run(
            [*command, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    (folder / "compare.json").write_text(run("compare", *models, "--json"))
    (folder / "again.json").write_text(run("compare", *models, "--json"))
    (folder / "report.json").write_text(run("report", "--json"))
    (folder / "export.json").write_text(run("export", "best", "--json"))


def said(job: Path, step: str) -> dict[str, Any]:
    described: dict[str, Any] = json.loads((job / f"{step}.json").read_text())
    return described


def bundle_of(job: Path) -> str:
    return str(said(job, "export")["bundle"])
