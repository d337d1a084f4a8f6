"""A budget of trials spent on one model, by several processes; a second call goes on where the first ended."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import connection, get_context, resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING

from recsys_lab.config import Config
from recsys_lab.data.dataset import Dataset
from recsys_lab.data.fold import Split
from recsys_lab.errors import ModelError
from recsys_lab.progress import status
from recsys_lab.tuning.outcome import Outcome
from recsys_lab.tuning.space import configured_space
from recsys_lab.tuning.study import bury, finished, futile, is_database, mend
from recsys_lab.tuning.trial import Search, validation_only, work

if TYPE_CHECKING:
    import optuna

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
LOOK = 1.0  # seconds between looks at the processes
FAREWELL = 3.0  # seconds that an interrupted process has to end by itself


def search(config: Config, dataset: Dataset, split: Split) -> Outcome:
    """Spend what is left of ``tune.trials`` on the configured model, on the validation part of ``split``.

    The same data, model settings, space, objectives and seed are the same study, in the same folder of
    ``paths.studies`` or under the same name in ``tune.storage``. Raises ConfigError for settings that
    cannot work, SplitError without a validation part, ModelError when no trial succeeds.
    """
    folder, task = _task(config, dataset, split)
    study = task.open()
    bury(study)
    present = task.space.within(config["model"])
    if not study.get_trials(deepcopy=False) and present is not None:
        study.enqueue_trial(present, user_attrs={"configured": True})
    _spend(task, study)
    outcome = Outcome.of(study, task, dataset)
    outcome.write(folder)
    return outcome


def _task(config: Config, dataset: Dataset, split: Split) -> tuple[Path, Search]:
    label, tune = config.choices["model"], config["tune"]
    space = configured_space(config)
    objectives = tuple(tune["objectives"])
    described = [split.fingerprint, label, config.fingerprint("model", "rerank", "seed"), tune["space"], objectives]
    fingerprint = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
    name = f"{dataset.name}-{label}-{fingerprint[:8]}"
    folder = config.path("studies") / name
    storage = tune["storage"] or str((folder / "journal.log").resolve())
    if not is_database(storage):
        Path(storage).parent.mkdir(parents=True, exist_ok=True)
        Path(storage).touch()
        mend(Path(storage))
    return folder, Search(name, storage, tune["pruner"], config, space, validation_only(split), objectives)


def _spend(task: Search, study: optuna.Study) -> None:
    """Rounds of processes until the budget is spent; there is a second round only where processes died."""
    tune, began = task.config["tune"], time.monotonic()
    with status(f"tuning {task.name}") as say:
        while (left := tune["trials"] - (tried := len(finished(study)))) > 0:
            seconds = None if tune["seconds"] is None else tune["seconds"] - (time.monotonic() - began)
            if seconds is not None and seconds <= 0:
                return
            shares = [len(range(worker, left, tune["workers"])) for worker in range(min(tune["workers"], left))]
            codes = _round(task, shares, seconds, len(study.trials), lambda: say(_progress(study, tune["trials"])))
            killed = [-code for code in codes if code < 0]
            bury(study, f"its process was ended by signal {killed[0]}; for want of memory, perhaps" if killed else None)
            if any(code > 0 for code in codes):
                raise RuntimeError(f"{task.name}: a process has ended with the error above")
            if reason := futile(study):
                raise ModelError(f"tune: nothing but failures in {task.name}; the latest: {reason}")
            if killed and len(finished(study)) == tried:
                raise ModelError(f"tune: processes were ended by signal {killed[0]} before they finished a trial")


def _round(task: Search, shares: list[int], seconds: float | None, tried: int, look: Callable[[], None]) -> list[int]:
    """One process for each share of trials, with a seed of its own; their exit codes when all have ended."""
    context, seed = get_context("spawn"), task.config["seed"] + tried
    processes = [
        context.Process(target=work, args=(task, share, seconds, seed + 1_000 * place))
        for place, share in enumerate(shares)
    ]
    try:
        with _threads_for(len(shares)), _deaf():
            for process in processes:
                process.start()
        while running := [process.sentinel for process in processes if process.is_alive()]:
            connection.wait(running, LOOK)
            look()
    finally:
        for process in processes:
            if process.pid is not None:
                process.join(FAREWELL)
                process.terminate()
                process.join()
    return [process.exitcode or 0 for process in processes]


@contextmanager
def _threads_for(workers: int) -> Iterator[None]:
    """What is started inside shares the threads that this process may use; libraries read that when they are loaded."""
    before = {name: os.environ.get(name) for name in THREADS}
    total = int(before["OMP_NUM_THREADS"] or os.cpu_count() or 1)
    os.environ.update(dict.fromkeys(THREADS, str(max(1, total // workers))))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _deaf() -> Iterator[None]:
    """What is started inside hears Ctrl-C only when it works, and this process when all are started."""
    resource_tracker.ensure_running()  # which hears again when it has started
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _progress(study: optuna.Study, budget: int) -> str:
    done = [trial for trial in finished(study) if trial.values]
    lowest = study.directions[0].name == "MINIMIZE"
    best = (min if lowest else max)((trial.values[0] for trial in done), default=float("nan"))
    return f"{len(finished(study))} of {budget} trials, best {best:.4f}"
