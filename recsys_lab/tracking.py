"""Finished runs in Weights & Biases, for teams that look there; the run folder stays the authority."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recsys_lab.errors import ConfigError
from recsys_lab.runs import Run


def log_run(run: Run, settings: Mapping[str, Any]) -> None:
    """Send a run's configuration, training curve and test metrics. Raises ConfigError without wandb.

    ``settings``: ``project`` and ``mode`` (online, offline, disabled). Offline files lie in ``wandb/``.
    """
    try:
        import wandb
    except ImportError:
        raise ConfigError("tracker=wandb: the package is not here; pip install 'recsys-lab[wandb]'") from None
    with wandb.init(
        project=settings["project"], mode=settings["mode"], name=run.name, group=run.split["name"], config=run.config
    ) as tracked:
        for epoch in run.curve:
            tracked.log(epoch)
        tracked.summary.update({name: measure["mean"] for name, measure in run.metrics.items()})
        tracked.summary.update({"fit_seconds": run.fit_seconds, "data": run.fingerprints["data"]})
