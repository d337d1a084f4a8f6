"""An export takes a run as it is, and says so to whoever wants something else of it."""

from __future__ import annotations

import logging

import pytest

from recsys_lab.config import compose
from recsys_lab.export.settled import warn_of_settled

TRAINED = ["data=movielens", "data.path=ml", "model=ease", "model.regularization=5", "split.exclude_seen=false"]


@pytest.mark.parametrize("same", [[], TRAINED, ["export.k=3", "seed=2", "paths.bundles=elsewhere"]])
def test_nothing_to_say(same: list[str], caplog: pytest.LogCaptureFixture) -> None:
    warn_of_settled(compose(same), compose(TRAINED), "a-run")
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (["split.exclude_seen=true"], "split.exclude_seen=true: changes nothing here, the run a-run has its own split"),
        (
            ["rerank=mmr", "rerank.mix=.5"],
            "rerank=mmr rerank.mix=.5: changes nothing here, the run a-run has its own re",
        ),
        (["data=csv", "+data.x=1"], "data=csv +data.x=1: changes nothing here"),
        (["model=popular"], "model=popular: changes nothing here"),
    ],
)
def test_what_the_run_settled(other: list[str], says: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        warn_of_settled(compose(other), compose(TRAINED), "a-run")
    assert says in caplog.text
