"""What may still be asked of a finished run."""

from __future__ import annotations

import pytest

from recsys_lab.config import compose
from recsys_lab.errors import ConfigError
from recsys_lab.runs import Run
from recsys_lab.settled import as_exported, as_trained

TRAINED = ["data=movielens", "data.path=ml", "model=ease", "model.regularization=5", "split.exclude_seen=false"]
RUN = Run(
    name="a-run",
    model="ease",
    created="",
    seed=1,
    fingerprint="",
    fingerprints={},
    config=compose(TRAINED).tree,
    overrides=TRAINED,
    metrics={},
    fit_seconds=0,
    queries_per_second=0,
    peak_memory_mb=0,
    split={},
    audit={},
    lineage={},
)
OWN = RUN.config


@pytest.mark.parametrize("same", [[], TRAINED, ["export.k=3", "seed=2"], ["rerank=none"]])
def test_an_export_takes_a_run_as_it_is(same: list[str]) -> None:
    assert as_exported(RUN, compose(same)).tree == OWN
    assert as_exported(RUN, compose([*same, "paths.bundles=elsewhere"])).tree["paths"]["bundles"] == "elsewhere"


@pytest.mark.parametrize(
    ("other", "part"),
    [
        ("split.exclude_seen=true", "split"),
        ("rerank=mmr", "rerank"),
        ("++split.window=7d", "split"),
        ("data=csv", "data"),
        ("model=popular", "model"),
        ("metrics.cutoffs=[3]", "metrics"),
    ],
)
def test_an_export_refuses_what_the_run_was_not_made_with(other: str, part: str) -> None:
    with pytest.raises(ConfigError) as refused:
        as_exported(RUN, compose([other]))
    assert str(refused.value) == f"{other}: a-run was made with another {part}; train with it, or leave it out"


def test_an_evaluation_takes_what_is_named_of_what_was_not_learned() -> None:
    asked = as_trained(RUN, compose(["rerank=mmr", "++metrics.cutoffs=[3]", "model=ease", "model.regularization=5"]))
    assert asked["rerank"] == compose(["rerank=mmr"])["rerank"]
    assert asked["metrics"] == {**OWN["metrics"], "cutoffs": [3]}
    assert (asked["data"], asked["split"], asked["model"]) == (OWN["data"], OWN["split"], OWN["model"])


@pytest.mark.parametrize("other", ["model=als", "model.regularization=6", "export.k=3"])
def test_an_evaluation_refuses_what_the_training_decided(other: str) -> None:
    with pytest.raises(ConfigError, match="a finished run keeps its own; what may be set is data, split"):
        as_trained(RUN, compose(["model=ease", "model.regularization=5", other]))
