"""Runs on one split as a leaderboard: best first, each against the leader, with its doubt."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from recsys_lab import runs
from recsys_lab.data.dataset import Dataset
from recsys_lab.errors import ConfigError
from recsys_lab.evaluation import Evaluation
from recsys_lab.metrics.ranking import RANKING_METRICS
from recsys_lab.metrics.significance import compare_with_leader
from recsys_lab.runs import Run


def check_primary(primary: str, cutoffs: Sequence[int]) -> None:
    """Raises ConfigError, before hours of training, when models cannot be ranked by ``primary``."""
    measured = [f"{name}@{k}" for name in RANKING_METRICS for k in cutoffs]
    if primary not in measured:
        raise ConfigError(f"metrics.primary: {primary!r} cannot rank models here; use one of {', '.join(measured)}")


def leaderboard(
    finished: Sequence[Run],
    failed: Sequence[dict[str, str]],
    dataset: Dataset,
    *,
    primary: str,
    bootstrap: int,
    seed: int,
    created: datetime,
    root: Path,
    studies: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """What ``comparison.json`` holds and ``recsys-lab compare --json`` prints.

    ``primary`` is the metric that ranks and is tested, ``bootstrap`` the resamples for the intervals of the
    differences, ``failed`` the models that refused the data with their reasons, ``root`` where
    comparisons lie, ``studies`` the searches that chose settings before.
    """
    tables = {run.model: Evaluation.load(run.folder).per_query for run in finished}
    values = {model: table[primary].to_numpy(np.float64) for model, table in tables.items()}
    # by the very numbers that are tested: two means may differ in a last bit that float32 tables lack
    ranked = sorted(finished, key=lambda run: -float(np.nanmean(values[run.model])))
    leader = ranked[0]
    comparisons = compare_with_leader(
        {run.model: values[run.model] for run in ranked},
        clusters=tables[leader.model]["user"].to_numpy(),
        bootstrap=bootstrap,
        seed=seed,
    )
    digest = hashlib.sha256("".join(run.fingerprint for run in ranked).encode()).hexdigest()
    return {
        "name": runs.folder_name(root, "compare", created, digest),
        "created": created.isoformat(timespec="seconds"),
        "data": {"name": dataset.name, "fingerprint": dataset.fingerprint, "events": len(dataset.log)},
        "primary": primary,
        "split": leader.split,
        "audit": leader.audit,
        "lineage": leader.lineage,
        "models": [_entry(run) for run in ranked],
        "comparisons": [asdict(comparison) for comparison in comparisons],
        "failed": list(failed),
        "studies": list(studies),
    }


def _entry(run: Run) -> dict[str, Any]:
    return {
        "model": run.model,
        "run": run.name,
        "metrics": run.metrics,
        "fit_seconds": run.fit_seconds,
        "queries_per_second": run.queries_per_second,
        "peak_memory_mb": run.peak_memory_mb,
        "curve": run.curve,
    }
