"""Other libraries to measure against, each in a virtual environment of its own.

    python -m experiments.benchmarks.peers     # makes all of them; a benchmark makes those it needs

Their requirements contradict ours (NumPy 1, pandas 2), and nothing of theirs may change what we measure.
A benchmark writes one module per side and runs it with ``run``: one process, pinned to one core, that
prints JSON as its last line. This module needs the standard library alone, so it can be imported there too.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "recsys-lab" / "peers"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True)
class Peer:
    """What is installed, first ``requirements`` as they resolve, then ``alone`` without dependencies."""

    requirements: tuple[str, ...]
    alone: tuple[str, ...] = ()


PEERS = {
    "fastapi": Peer(("fastapi", "uvicorn[standard]", "torch==2.13.0", "numpy==2.4.6")),
    "implicit": Peer(("implicit==0.7.3", "numpy==2.4.6", "scipy==1.17.1")),
    "rectools": Peer(("RecTools[torch]==0.19.0", "torch==2.13.0", "numpy==1.26.4", "pandas==2.3.3")),
    "replay": Peer(("replay-rec[torch]==0.22.0", "torch==2.13.0", "pandas==2.3.3")),
    # with its dependencies RecBole would bring ray, which only its tuner needs
    "recbole": Peer(
        (
            *("torch==2.13.0", "numpy==1.26.4", "pandas==2.3.3", "scipy==1.13.1", "scikit-learn==1.6.1"),
            *("pyyaml", "colorlog", "colorama", "tensorboard", "texttable", "tqdm", "psutil", "tabulate", "plotly"),
            "setuptools<81",
        ),
        alone=("recbole==1.2.1", "thop==0.1.1.post2209072238"),
    ),
}


def python_of(peer: str, cache: Path = CACHE) -> Path:
    """The interpreter of the peer's environment, which is made on first use and anew when its pins change."""
    wanted, folder = PEERS[peer], cache / peer
    python, ready = folder / "bin" / "python", folder / "ready.json"
    pins = json.dumps([*wanted.requirements, "--no-deps", *wanted.alone])
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{peer}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another benchmark may be making it
        if not ready.is_file() or ready.read_text() != pins:
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
            for options in (wanted.requirements, ("--no-deps", *wanted.alone)):
                if set(options) - {"--no-deps"}:
                    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *options], check=True)
            ready.write_text(pins)
    return python


def run(
    module: str, *arguments: str, python: Path | str = sys.executable, core: int = 0, limit: float | None = None
) -> dict[str, Any]:
    """What ``python -m module arguments``, started in the repository and pinned to ``core``, printed as JSON.

    Raises TimeoutExpired after ``limit`` seconds.
    """
    answer = subprocess.run(
        [str(python), "-W", "ignore", "-m", module, *arguments],
        cwd=ROOT,
        env={**os.environ, **dict.fromkeys(THREADS, "1")},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=limit,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    printed: dict[str, Any] = json.loads(answer.stdout.strip().splitlines()[-1])
    return printed


def cpu_seconds(work: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
    """The least CPU time, user and system, of several runs of ``work``, and what the last one returned.

    Wall time says how busy a shared machine is; the least of several CPU times says the least about it.
    """
    taken, result = [], None
    for _ in range(repeats):
        began = time.process_time()
        result = work()
        taken.append(time.process_time() - began)
    return round(min(taken), 4), result


def peak_memory_mib() -> int:
    """The most memory that this process has held so far."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def versions(packages: Iterable[str]) -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    load = [round(share, 1) for share in os.getloadavg()]
    return {"processor": next(iter(names), platform.machine()), "cores": os.cpu_count(), "load_average": load}


if __name__ == "__main__":
    for name in PEERS:
        sys.stdout.write(f"{name}: {python_of(name)}\n")
