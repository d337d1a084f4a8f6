"""Finished runs in Weights & Biases, for teams that look there; the run folder stays the authority."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from recsys_lab.errors import ConfigError
from recsys_lab.runs import Run

if TYPE_CHECKING:
    from types import ModuleType

    from recsys_lab.tuning.outcome import Outcome


def check_tracker(settings: Mapping[str, Any]) -> None:
    """Raises ConfigError, before hours of training, when results cannot be sent with these ``settings``."""
    if settings["name"] == "none":
        return
    if settings.get("project") is None or settings.get("mode") is None:
        raise ConfigError(f"tracker: {dict(settings)} lacks project or mode; write tracker=wandb")
    _wandb()


def log_run(run: Run, settings: Mapping[str, Any]) -> None:
    """Send a run's configuration, training curve and test metrics. Raises ConfigError when wandb refuses them.

    ``settings``: ``project`` and ``mode`` (online, offline, disabled). Offline files lie in ``wandb/``.
    """
    with _begun(settings, name=run.name, group=run.split["name"], config=run.config) as tracked:
        for epoch in run.curve:
            tracked.log(epoch)
        tracked.summary.update({name: measure["mean"] for name, measure in run.metrics.items()})
        tracked.summary.update({"fit_seconds": run.fit_seconds, "data": run.fingerprints["data"]})


def log_study(outcome: Outcome, settings: Mapping[str, Any]) -> None:
    """Send a search, one step for each measured trial, with its settings. Raises ConfigError as ``log_run`` does."""
    described = {"model": outcome.model, "space": outcome.space, "data": outcome.data}
    with _begun(settings, name=outcome.name, group="tune", config=described) as tracked:
        for trial in outcome.trials:
            if trial.values is not None:
                tracked.log({**trial.settings, **dict(zip(outcome.objectives, trial.values, strict=True))})
        tracked.summary.update({f"best_{name}": value for name, value in outcome.trial(outcome.best).settings.items()})


def _begun(settings: Mapping[str, Any], name: str, **about: Any) -> Any:
    """A run of wandb. What is wrong there, a project's name or the connection, does not touch the results here."""
    wandb = _wandb()
    try:
        return wandb.init(project=settings["project"], mode=settings["mode"], name=name, **about)
    except wandb.Error as error:
        raise ConfigError(f"tracker: {name} is kept, but wandb refuses it: {' '.join(str(error).split())}") from error


def _wandb() -> ModuleType:
    try:
        import wandb
    except ImportError:
        raise ConfigError("tracker=wandb: the package is not here; pip install 'recsys-lab[wandb]'") from None
    found: ModuleType = wandb
    return found
