"""What a finished run was made with, and what may still be asked of it."""

from __future__ import annotations

from recsys_lab.config import Config, named
from recsys_lab.errors import ConfigError
from recsys_lab.runs import Run

AS_THEY_ARE = {"_target_": "recsys_lab.reranking.none"}  # what is done to the lists of a run that does not say
UNLEARNED = ("data", "split", "rerank", "metrics", "seed", "paths", "allowed_targets")  # what a run is evaluated with
EXPORTED = ("data", "split", "model", "rerank", "metrics")  # what its bundle is of


def as_trained(run: Run, asked: Config | None = None) -> Config:
    """The run's own configuration; what the overrides of ``asked`` name is as there.

    Raises ConfigError for those that say another thing than what the training decided.
    """
    config = Config({"rerank": AS_THEY_ARE, **run.config}, tuple(run.overrides))
    if asked is None:
        return config
    for override in asked.overrides:
        part = _part(override)
        if part not in (*UNLEARNED, "experiment") and asked.tree.get(part) != config.tree.get(part):
            raise ConfigError(f"{override}: a finished run keeps its own; what may be set is {', '.join(UNLEARNED)}")
    return config.adopting(asked, UNLEARNED)


def as_exported(run: Run, asked: Config) -> Config:
    """The run's own configuration, with the paths of ``asked``. Raises ConfigError for an override that says another
    thing than what the run was made with."""
    trained = as_trained(run)
    for override in asked.overrides:
        part = _part(override)
        if part in EXPORTED and asked.tree.get(part) != trained.tree.get(part):
            raise ConfigError(f"{override}: {run.name} was made with another {part}; train with it, or leave it out")
    return trained.adopting(asked, ("paths",))


def _part(override: str) -> str:
    return named(override).partition(".")[0]
