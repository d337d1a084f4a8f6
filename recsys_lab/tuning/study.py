"""What has been tried: an Optuna study in a journal file, or in a database that machines share.

A trial counts against the budget when it was measured, stopped early, or failed with an error of
its own (user attribute ``error``). One whose process was ended from outside is lost, and not counted.
"""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from recsys_lab.atomic import alive
from recsys_lab.errors import ConfigError

HEARTBEAT = 60  # seconds between signs of life in a database; a machine that gives none for two of them has died
FUTILE = 5  # failures before the first success that end a search
PRUNERS: dict[str, BasePruner] = {
    "median": MedianPruner(n_startup_trials=5, n_warmup_steps=5),
    "hyperband": HyperbandPruner(),
    "none": NopPruner(),
}


def open_study(
    name: str,
    storage: str,
    directions: Sequence[Literal["minimize", "maximize"]],
    *,
    pruner: str = "none",
    seed: int = 0,
) -> Study:
    """The study called ``name``, made if it is not there. ``storage`` is a journal's path or a database's URL.

    Raises ConfigError for a database that cannot be reached and for an unknown pruner.
    """
    if pruner not in PRUNERS:
        raise ConfigError(f"tune.pruner: {pruner!r} is unknown; use one of {', '.join(PRUNERS)}")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    together = len(directions) == 1  # draw settings jointly, in groups that exist together
    with warnings.catch_warnings():  # heartbeats and groups are called experimental, for years now
        warnings.simplefilter("ignore", ExperimentalWarning)
        return optuna.create_study(
            storage=_storage(storage),
            study_name=name,
            directions=list(directions),
            load_if_exists=True,
            sampler=optuna.samplers.TPESampler(seed=seed, multivariate=together, group=together),
            pruner=PRUNERS[pruner],
        )


def finished(study: Study) -> list[FrozenTrial]:
    """The trials that count against the budget."""
    ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL))
    return [trial for trial in ended if trial.state is not TrialState.FAIL or "error" in trial.user_attrs]


def futile(study: Study) -> str | None:
    """The latest error, when there have been nothing but errors, and enough of them."""
    trials = finished(study)
    errors = [trial.user_attrs["error"] for trial in trials if "error" in trial.user_attrs]
    return errors[-1] if len(errors) == len(trials) >= FUTILE else None


def sign(trial: Trial) -> None:
    """Note which process works on ``trial``."""
    trial.set_user_attr("worker", f"{socket.gethostname()}:{os.getpid()}")


def bury(study: Study, error: str | None = None) -> int:
    """Mark as failed what dead processes of this machine were at; how many. With ``error`` they count as tried."""
    found = 0
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        host, _, process = str(trial.user_attrs.get("worker", ":0")).rpartition(":")
        if host == socket.gethostname() and not alive(int(process)):
            if error is not None:
                Trial(study, trial._trial_id).set_user_attr("error", error)
            study.tell(trial.number, state=TrialState.FAIL)
            found += 1
    return found


def mend(journal: Path) -> None:
    """Cut off a last line without an end: a full disk or a power cut must not cost the whole journal."""
    lock = JournalFileSymlinkLock(str(journal))
    lock.acquire()
    try:
        with journal.open("rb+") as file:
            written = file.read()
            file.truncate(written.rfind(b"\n") + 1)
    finally:
        lock.release()


def is_database(storage: str) -> bool:
    return "://" in storage


def _storage(storage: str) -> BaseStorage:
    if not is_database(storage):
        return JournalStorage(JournalFileBackend(storage))
    try:
        return RDBStorage(storage, heartbeat_interval=HEARTBEAT)
    except (SQLAlchemyError, ImportError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"tune.storage: the database cannot be used: {reason}") from error
