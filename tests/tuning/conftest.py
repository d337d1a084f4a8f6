"""A log whose best settings are known: everybody liked A once, and B lately, and B is what comes next."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from recsys_lab import pipeline
from recsys_lab.config import Config, compose
from recsys_lab.data.dataset import Dataset
from recsys_lab.data.fold import Split

DAY = 86_400
EVENTS = [
    (f"u{user}", day * DAY + user, item)
    for user in range(8)
    for item, days in (("A", (0, 1, 2, 3, 4)), ("B", (14, 17, 21)), ("C", (1,)))
    for day in days
]
SPLIT = ["split.cutoff=1970-01-21", "split.valid_window=4d", "split.exclude_seen=false"]
Composed = Callable[..., Config]


@pytest.fixture
def composed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Composed:
    """A configuration for the log above, whose files land in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    return lambda *overrides, **given: compose([*SPLIT, *overrides], **given)


@pytest.fixture
def dataset(make_dataset: Callable[..., Dataset]) -> Dataset:
    return make_dataset(EVENTS)


@pytest.fixture
def split(composed: Composed, dataset: Dataset) -> Split:
    return pipeline.make_split(composed(), dataset)
