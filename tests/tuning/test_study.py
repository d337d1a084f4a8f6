"""The record of a search survives those who write it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from optuna.study import Study
from optuna.trial import TrialState

from recsys_lab.errors import ConfigError
from recsys_lab.tuning.study import bury, finished, mend, open_study, sign


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.log"


@pytest.fixture
def study(journal: Path) -> Study:
    return open_study("study", str(journal), ["maximize"])


@pytest.fixture(scope="module")
def dead() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_a_dead_process_was_at_is_lost_or_counted_as_an_error(study: Study, dead: int) -> None:
    mine, elsewhere, killed = study.ask(), study.ask(), study.ask()
    sign(mine)
    elsewhere.set_user_attr("worker", f"another-machine:{dead}")
    killed.set_user_attr("worker", f"{socket.gethostname()}:{dead}")
    assert bury(study) == 1
    states = [trial.state for trial in study.get_trials()]
    assert states == [TrialState.RUNNING, TrialState.RUNNING, TrialState.FAIL]
    assert finished(study) == []

    study.ask().set_user_attr("worker", f"{socket.gethostname()}:{dead}")
    assert bury(study, "ended by signal 9") == 1
    assert [trial.user_attrs["error"] for trial in finished(study)] == ["ended by signal 9"]
    assert mine.user_attrs["worker"].endswith(f":{os.getpid()}")


def test_a_line_that_was_broken_off_does_not_cost_the_journal(study: Study, journal: Path) -> None:
    study.tell(study.ask(), 0.5)
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code":5,"wor')
    mend(journal)
    assert journal.read_bytes() == whole
    again = open_study("study", str(journal), ["maximize"])
    again.tell(again.ask(), 0.7)
    assert [trial.value for trial in again.get_trials()] == [0.5, 0.7]


def test_a_database_keeps_a_study_too(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'studies.db'}"
    study = open_study("study", address, ["maximize"])
    study.optimize(lambda _: 0.5, n_trials=1)
    assert open_study("study", address, ["maximize"]).best_value == 0.5


@pytest.mark.parametrize(
    ("storage", "pruner", "message"),
    [
        ("nothing://here", "none", "tune.storage: the database cannot be used"),
        ("sqlite:////no/such/folder/studies.db", "none", "tune.storage: the database cannot be used"),
        ("journal.log", "mediam", "tune.pruner: 'mediam' is unknown; use one of median, hyperband, none"),
    ],
)
def test_what_cannot_be_used_is_one_line(storage: str, pruner: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        open_study("study", storage, ["maximize"], pruner=pruner)
    assert "\n" not in str(caught.value)
