"""What tests of several packages share: a tiny data set with literal events, and the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys_lab import cli
from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.dataset import Dataset
from recsys_lab.data.lineage import Lineage, LineageStep
from recsys_lab.data.log import InteractionLog
from tests.main_job import Type, run_main_job

SHARED_DATA = Path(__file__).resolve().parents[1] / "../shared/data"

Event = tuple[str, int, str]  # user, time, item
MakeDataset = Callable[..., Dataset]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public data sets beside the repository; tests that need it skip without it."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the reference data in ../shared/data are not on this machine")
    return SHARED_DATA


@pytest.fixture(scope="session")
def make_dataset() -> MakeDataset:
    """A data set from literal (user, time, item) rows; users u1 …, item codes in alphabetical order."""

    def make(
        events: Sequence[Event],
        *,
        available_from: dict[str, int] | None = None,
        kinds: Sequence[str] | None = None,
        attributes: dict[str, str] | None = None,
        order_only: bool = False,
        steps: tuple[LineageStep, ...] = (),
    ) -> Dataset:
        users = sorted({user for user, _, _ in events})
        items = sorted({item for _, _, item in events} | set(available_from or {}))
        names = tuple(sorted(set(kinds))) if kinds else ("view",)
        log = InteractionLog.from_events(
            np.array([users.index(user) for user, _, _ in events], np.int32),
            np.array([items.index(item) for _, _, item in events], np.int32),
            np.array([time for _, time, _ in events], np.int64),
            n_users=len(users),
            n_items=len(items),
            events=None if kinds is None else np.array([names.index(kind) for kind in kinds], np.int8),
            event_names=names,
        )
        if attributes:
            values = ("", *sorted(set(attributes.values())))
            codes = np.array([[values.index(attributes.get(user, ""))] for user in users], np.int32)
            log = InteractionLog(**{**vars(log), "attributes": codes, "attribute_names": (("country", values),)})
        frame = pd.DataFrame({"item_id": items})
        frame["available_from"] = frame["item_id"].map(available_from or {}).astype("float64")
        return Dataset(
            name="literal",
            log=log,
            catalogue=Catalogue(frame),
            user_ids=np.array(users, dtype=object),
            fingerprint="literal",
            lineage=Lineage("literal", {}, {}, steps, "2026-01-01T00:00:00+00:00"),
            order_only=order_only,
            folder=Path(),
        )

    return make


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Type:
    """Run a command line in the current folder: exit code, stdout, stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["recsys-lab", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


@pytest.fixture(scope="session")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the main job has run."""
    folder = tmp_path_factory.mktemp("job")
    run_main_job(folder)
    return folder


@pytest.fixture
def in_job(job: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(job)
    return job
