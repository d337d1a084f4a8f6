"""How many users a batch job answers per second of one core.

    python -m experiments.benchmarks.batch [--cache FOLDER]

Two bundles: EASE on the simulated shop, whose users have up to 200 events and whose surfaces have several retrievers
and rules; and 100,000 generated items around a trained SASRec, searched by FAISS (see ``serving.bundles``), with
histories of 1 to 50 events. Each job runs in a process of its own on one core: lists of 10 as Parquet, all that
``python -m serving_min.batch`` does but for opening the bundle. ``reading`` is the part of it that reads the users,
measured alone. Writes reports/benchmarks/batch.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from experiments.benchmarks.peers import CACHE, ROOT, cpu_seconds, machine, peak_memory_mib, run, versions
from serving_min.batch.job import plan
from serving_min.batch.job import run as run_job
from serving_min.batch.users import Users

REPORT = ROOT / "reports" / "benchmarks" / "batch.json"
PACKAGES = ("faiss-cpu", "msgspec", "numpy", "onnxruntime", "pyarrow")
ITEMS = 100_000
SURFACES = ("recommend", "email", "push")


def shop(cache: Path) -> tuple[Path, Path]:
    """The shop's bundle and its users, kept in ``cache``."""
    from recsys_lab import pipeline
    from recsys_lab.export.users import prepared_users

    paths = [f"paths.{name}={cache / name}" for name in ("prepared", "runs", "bundles")]
    config = pipeline.compose(["data=shop", "model=ease", "split.cutoff=21d", *paths])
    dataset = pipeline.prepare(config)
    bundle = cache / "bundles" / "shop-ease" / "1"
    if not bundle.is_dir():
        config = pipeline.compose(["data=shop", "model=ease", "split.cutoff=21d", "export.version='1'", *paths])
        split = pipeline.make_split(config, dataset)
        pipeline.export(config, pipeline.train(config, dataset, split), dataset, split)
    return bundle, prepared_users(dataset)


def generated(cache: Path) -> tuple[Path, Path]:
    """The generated bundle and those who ask it, as users."""
    from experiments.benchmarks.serving.bundles import make

    bundle, users = make(ITEMS, cache), cache / f"users-{ITEMS}.jsonl"
    bodies = (cache / f"requests-{ITEMS}.jsonl").read_text().splitlines()
    lines = [json.dumps({"user_id": f"user-{row}", **json.loads(body)}) for row, body in enumerate(bodies)]
    users.write_text("\n".join(lines) + "\n")
    return bundle, users


def measured(bundle: Path, users: Path, surface: str) -> dict[str, Any]:
    """One job, in this process."""
    seconds, rows = cpu_seconds(lambda: [*Users(users).rows(0, len(Users(users)))], repeats=3)
    with TemporaryDirectory() as folder:
        summary = run_job(plan(bundle, users, Path(folder) / "lists", surface=surface))
    events = sum(len(user.history) for user in rows)
    reading = {"cpu_seconds": seconds, "share": round(seconds / summary.cpu_seconds, 2)}
    return {
        "surface": surface,
        **asdict(summary),
        "events_per_user": round(events / len(rows), 1),
        "reading": reading,
        "peak_mib": peak_memory_mib(),
    }


def jobs(bundle: Path, users: Path, surfaces: Iterable[str]) -> list[dict[str, Any]]:
    asked = [run("experiments.benchmarks.batch", "--job", str(bundle), str(users), surface) for surface in surfaces]
    for found in asked:
        sys.stdout.write(json.dumps(found) + "\n")
    return asked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=CACHE.parent / "serving")
    parser.add_argument("--report", type=Path, default=REPORT)
    parser.add_argument("--job", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.job:
        bundle, users, surface = given.job
        sys.stdout.write(json.dumps(measured(Path(bundle), Path(users), surface)) + "\n")
        return
    given.cache.mkdir(parents=True, exist_ok=True)
    report = {
        "machine": machine(),
        "versions": versions(PACKAGES),
        "shop, EASE": jobs(*shop(given.cache), SURFACES),
        f"generated, SASRec, {ITEMS:,} items": jobs(*generated(given.cache), SURFACES[:1]),
    }
    given.report.parent.mkdir(parents=True, exist_ok=True)
    given.report.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
