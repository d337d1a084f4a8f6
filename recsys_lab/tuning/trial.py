"""One configuration at a time: fit it, measure its lists on the validation part, tell the study."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import parent_process
from typing import Any, Literal, TypeAlias

import numpy as np
import optuna

from recsys_lab import pipeline
from recsys_lab.config import Config
from recsys_lab.data.fold import Split
from recsys_lab.errors import ConfigError, ModelError, RecsysLabError, SplitError
from recsys_lab.evaluation import evaluate, rank
from recsys_lab.metrics.content import content_vectors
from recsys_lab.metrics.ranking import RANKING_METRICS
from recsys_lab.tuning.space import Settings, Space
from recsys_lab.tuning.study import finished, futile, open_study, sign

LOWER_IS_BETTER = ("gini", "popularity", "miscalibration")
Direction: TypeAlias = Literal["minimize", "maximize"]
OBJECTIVES = (*RANKING_METRICS, "coverage", "novelty", "category_diversity", "content_diversity", *LOWER_IS_BETTER)


@dataclass(frozen=True)
class Search:
    """All that a process needs to try settings. ``split.test`` is the validation part: there is no other."""

    name: str
    storage: str
    pruner: str
    config: Config
    space: Space
    split: Split
    objectives: tuple[str, ...]

    def open(self, seed: int = 0) -> optuna.Study:
        """The study; draws of settings come from ``seed``."""
        return open_study(self.name, self.storage, directions(self.objectives), pruner=self.pruner, seed=seed)

    def with_settings(self, settings: Settings) -> Config:
        """The configuration with these settings of the model. Progress bars of many fits would only be noise."""
        model = {**self.config["model"], **settings}
        if "trainer" in model:
            model["trainer"] = {**model["trainer"], "enable_progress_bar": False}
        return replace(self.config, tree={**self.config.tree, "model": model})


class TrialError(Exception):
    """This configuration cannot be fitted here; others may."""


def validation_only(split: Split) -> Split:
    """The validation part in the place of the test part, which is left behind unread.

    Raises SplitError when there is no validation part to choose on.
    """
    if split.valid is None or len(split.valid) == 0:
        raise SplitError(
            "tune: this split has no validation part to choose settings on; widen split.valid_window, to 28d perhaps"
        )
    return replace(split, test=split.valid, refit=False)


def directions(objectives: tuple[str, ...]) -> list[Direction]:
    """Which way each objective is better. Raises ConfigError for one that is not measured here."""
    found: list[Direction] = []
    for objective in objectives:
        name, _, k = objective.partition("@")
        if name not in OBJECTIVES or not re.fullmatch("[1-9][0-9]*", k):
            raise ConfigError(f"tune.objectives: {objective!r} is not measured; use name@k, {', '.join(OBJECTIVES)}")
        found.append("minimize" if name in LOWER_IS_BETTER else "maximize")
    if len(set(objectives)) < len(objectives):
        raise ConfigError(f"tune.objectives: {list(objectives)} names one twice")
    return found


def measure(
    search: Search, settings: Settings, watch: Callable[[float], None] | None = None
) -> tuple[list[float], int]:
    """What the objectives are with ``settings``, and how many epochs were best (0: a model without).

    ``watch`` is told the validation score after each epoch, and may raise to stop. Raises
    ConfigError and ModelError when the settings cannot work.
    """
    fold = search.split.test
    config = search.with_settings(settings)
    model = pipeline.fit(config, search.split, watch=watch)
    cutoffs = sorted({int(objective.partition("@")[2]) for objective in search.objectives})
    about_content = any(objective.startswith("content_diversity") for objective in search.objectives)
    measured = evaluate(
        rank(model, fold, cutoffs[-1], search.split.exclude_seen, config.build("rerank")),
        fold,
        cutoffs=cutoffs,
        bootstrap=0,
        content=content_vectors(fold.catalogue) if about_content else None,
    ).summary
    missing = [objective for objective in search.objectives if objective not in measured]
    if missing:
        raise ModelError(f"tune.objectives: {', '.join(missing)} cannot be measured on these data")
    values = [float(measured[objective]["mean"]) for objective in search.objectives]
    if not np.isfinite(values).all():
        raise ModelError(f"tune.objectives: {dict(zip(search.objectives, values, strict=True))} is no result")
    return values, model.best_epoch


def attempt(search: Search, trial: optuna.Trial) -> list[float]:
    """Optuna's objective: draw settings, measure them. Raises TrialError, with the reason kept in the trial."""
    sign(trial)

    def watch(score: float) -> None:
        _stop_alone()
        if len(search.objectives) == 1:
            trial.report(score, step=next(epochs))
            if trial.should_prune():
                raise optuna.TrialPruned

    epochs = iter(range(1, 1_000_000))
    settings = search.space.suggest(trial)
    began = time.process_time()
    try:
        values, best_epoch = measure(search, settings, watch)
    except Exception as error:
        if not _expected(error):
            raise
        trial.set_user_attr("error", " ".join(str(error).split()) or type(error).__name__)
        raise TrialError from error
    finally:
        trial.set_user_attr("cpu_seconds", round(time.process_time() - began, 3))
    trial.set_user_attr("best_epoch", best_epoch)
    return values


def work(search: Search, trials: int, seconds: float | None, seed: int) -> None:
    """Try ``trials`` configurations, none begun after ``seconds``, nor when others have spent the search's budget.

    What a process of the search runs.
    """
    budget = search.config["tune"]["trials"]

    def between(study: optuna.Study, _: Any) -> None:
        _stop_alone()
        if futile(study) or len(finished(study)) >= budget:
            study.stop()

    with suppress(KeyboardInterrupt):  # whoever was interrupted says so once
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # it was started deaf
        search.open(seed).optimize(
            lambda trial: attempt(search, trial),
            n_trials=trials,
            timeout=seconds,
            catch=(TrialError,),
            callbacks=[between],
        )


def _stop_alone() -> None:
    """End as Ctrl-C would when the process that began the search is gone."""
    parent = parent_process()
    if parent is not None and not parent.is_alive():
        raise KeyboardInterrupt


def _expected(error: Exception) -> bool:
    """Whether ``error`` speaks of the configuration or the machine, and not of a bug."""
    if isinstance(error, RuntimeError) and "memory" in str(error):  # torch's way to say it
        return True
    return isinstance(error, RecsysLabError | MemoryError | np.linalg.LinAlgError)
