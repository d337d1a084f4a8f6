"""Run folders: what a training left behind, and how to find it again.

    experiments/runs/20261123-161500-ease-3f2a9c1b/
        run.json             config, seed, fingerprints, versions, git, times, metrics, curve, audit
        per_query.parquet    one row per test query, every metric
        model/               what Recommender.save wrote

A folder is there whole or not at all. Comparisons lie beside the runs, as
``20261123-161600-compare-…/comparison.json``; ``.unfinished-…`` is what a training goes on from.
"""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from recsys_lab.atomic import whole_folder
from recsys_lab.errors import RunError

T = TypeVar("T")
PACKAGES = ("recsys-lab", "numpy", "pandas", "scipy", "torch", "pytorch-lightning", "faiss-cpu", "onnxruntime")
UNFINISHED = ".unfinished-"
FORGOTTEN_AFTER = 7 * 86_400  # seconds
RUN_FILE = "run.json"
COMPARISON_FILE = "comparison.json"
COMPARISON_KEYS = {"name", "data", "primary", "split", "audit", "lineage", "models", "comparisons", "failed"}


@dataclass(frozen=True)
class Run:
    """One trained and evaluated model. ``fingerprint`` covers all that its numbers depend on."""

    name: str
    model: str
    created: str
    seed: int
    fingerprint: str
    fingerprints: dict[str, str]  # data, split, config
    config: dict[str, Any]
    overrides: list[str]
    metrics: dict[str, dict[str, Any]]
    fit_seconds: float
    queries_per_second: float
    peak_memory_mb: float
    split: dict[str, Any]
    audit: dict[str, Any]
    lineage: dict[str, Any]
    curve: list[dict[str, float]] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    git: str | None = None
    folder: Path = Path()

    @classmethod
    def load(cls, folder: Path) -> Run:
        """Raises RunError when there is no finished run, or one of another version."""
        described = read_json(folder / RUN_FILE)
        expected = set(cls.__dataclass_fields__) - {"folder"}
        if set(described) != expected:
            differing = sorted(set(described) ^ expected)
            raise RunError(f"{folder / RUN_FILE}: keys {differing} do not fit this version; train again")
        return cls(**described, folder=folder)

    def write(self, folder: Path) -> None:
        described = {key: value for key, value in asdict(self).items() if key != "folder"}
        write_json(folder / RUN_FILE, described)


def list_runs(root: Path) -> list[Run]:
    """All finished runs that this version can read, newest first."""
    runs = []
    for path in _visible(root, RUN_FILE):
        try:
            runs.append(Run.load(path.parent))
        except RunError:
            continue
    return sorted(runs, key=lambda run: (run.created, run.name), reverse=True)


def find_run(root: Path, wanted: str) -> Run:
    """A run by folder, by name, by the start of its name or model, ``latest``, or ``best`` (the leader
    of the latest comparison). Raises RunError that lists what there is.
    """
    if (Path(wanted) / RUN_FILE).is_file():
        return Run.load(Path(wanted))
    if wanted == "best":
        leader = find_comparison(root)["models"][0]["run"]
        return Run.load(root / leader)
    runs = list_runs(root)
    for run in runs:
        if wanted == "latest" or run.model == wanted or (wanted and run.name.startswith(wanted)):
            return run
    there = ", ".join(run.name for run in runs[:5]) or "none yet: `recsys-lab train` makes one"
    raise RunError(f"no run {wanted!r} in {root}; there are: {there}")


def find_same(root: Path, fingerprint: str) -> Run | None:
    """The newest finished run with this fingerprint, so that a comparison need not train it again."""
    return next((run for run in list_runs(root) if run.fingerprint == fingerprint), None)


def find_comparison(root: Path, wanted: str = "latest") -> dict[str, Any]:
    """What `recsys-lab compare` found: the newest one, or the one of that name. Raises RunError."""
    names = sorted(path.parent.name for path in _visible(root, COMPARISON_FILE))
    if not names:
        raise RunError(f"no comparison in {root}; `recsys-lab compare` makes one")
    if wanted != "latest" and wanted not in names:
        raise RunError(f"no comparison {wanted!r} in {root}; there are: {', '.join(names)}")
    path = root / (names[-1] if wanted == "latest" else wanted) / COMPARISON_FILE
    board = read_json(path)
    missing = sorted(COMPARISON_KEYS - board.keys())
    if missing or not board["models"]:
        raise RunError(f"{path}: damaged ({', '.join(missing) or 'models'} not there); compare again")
    return board


def folder_name(root: Path, label: str, created: datetime, fingerprint: str) -> str:
    """A name that sorts by time and is not taken yet."""
    return _free(root, f"{created:%Y%m%d-%H%M%S}-{label}-{fingerprint[:8]}")


def keep(root: Path, name: str, write: Callable[[str, Path], T]) -> T:
    """What ``write`` returns for a name and the folder to fill, which appears whole under that name.

    It is asked again, for another name, when a second process has taken this one within the same second.
    """
    wished = name
    while True:
        try:
            with whole_folder(root / name) as folder:
                return write(name, folder)
        except FileExistsError:
            if not (root / name).exists():
                raise
            name = _free(root, wished)


def _free(root: Path, base: str) -> str:
    taken = [path.name for path in root.glob(f"{base}*")] if root.is_dir() else []
    return base if base not in taken else f"{base}-{len(taken) + 1}"


def unfinished_folder(root: Path, fingerprint: str) -> Path:
    """Where a run keeps what it needs to go on after it was killed; what nobody came back for in a week is removed."""
    for leftover in root.glob(f"{UNFINISHED}*"):
        if time.time() - leftover.stat().st_mtime > FORGOTTEN_AFTER:
            shutil.rmtree(leftover, ignore_errors=True)
    return root / f"{UNFINISHED}{fingerprint[:16]}"


def now() -> datetime:
    return datetime.now(UTC)


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def git_revision() -> str | None:
    """The revision of the working directory, with ``+`` when there are changes; None outside git."""
    try:
        revision = _git("rev-parse", "--short=12", "HEAD")
        return revision + ("+" if _git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def write_json(path: Path, described: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(described, indent=2))


def read_json(path: Path) -> dict[str, Any]:
    """Raises RunError when the file is missing or damaged."""
    try:
        described: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise RunError(f"{path.parent}: no finished run here ({path.name} is missing)") from None
    except ValueError as error:
        raise RunError(f"{path}: damaged ({error})") from None
    if not isinstance(described, dict):
        raise RunError(f"{path}: damaged (no JSON object)")
    return described


def _visible(root: Path, file: str) -> list[Path]:
    return [path for path in root.glob(f"*/{file}") if not path.parent.name.startswith(".")]


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()
