"""Runs on one split as a leaderboard: best first, each against the leader, with its doubt."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from recsys_lab import runs
from recsys_lab.data.dataset import Dataset
from recsys_lab.errors import ConfigError
from recsys_lab.evaluation import Evaluation
from recsys_lab.metrics.significance import compare_with_leader
from recsys_lab.runs import Run


def leaderboard(
    finished: Sequence[Run],
    failed: Sequence[dict[str, str]],
    dataset: Dataset,
    *,
    primary: str,
    seed: int,
    created: datetime,
    root: Path,
) -> dict[str, Any]:
    """What ``comparison.json`` holds and ``recsys-lab compare --json`` prints.

    ``primary`` is the metric that ranks and is tested, ``failed`` the models that refused the data
    with their reasons, ``root`` where comparisons lie. Raises ConfigError when ``primary`` was not
    measured.
    """
    if any(primary not in run.metrics for run in finished):
        raise ConfigError(f"metrics.primary: {primary!r} was not measured; there are {sorted(finished[0].metrics)}")
    ranked = sorted(finished, key=lambda run: -run.metrics[primary]["mean"])
    tables = {run.model: Evaluation.load(run.folder).per_query for run in ranked}
    leader = ranked[0]
    comparisons = compare_with_leader(
        {model: table[primary].to_numpy() for model, table in tables.items()},
        clusters=tables[leader.model]["user"].to_numpy(),
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
