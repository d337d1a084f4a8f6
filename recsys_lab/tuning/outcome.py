"""What came of a search: the best settings, what they are better than, and which settings mattered.

experiments/studies/movielens-als-3f2a9c1b/
    journal.log             every trial, as Optuna keeps it; a search goes on from here
    study.json              the outcome
    experiment/best.yaml    the best settings: --conf-dir FOLDER experiment=best
    report.html             the same for readers, with plots
"""

from __future__ import annotations

import json
import shlex
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.importance import get_param_importances
from optuna.trial import FrozenTrial, TrialState

from recsys_lab.atomic import replacing
from recsys_lab.config import Config, named
from recsys_lab.data.dataset import Dataset
from recsys_lab.errors import ModelError
from recsys_lab.tuning.space import Settings
from recsys_lab.tuning.study import finished
from recsys_lab.tuning.trial import Direction, Search, directions

if TYPE_CHECKING:
    import optuna

ENOUGH = 10  # measured trials from which on importances mean anything
STATES = {TrialState.COMPLETE: "measured", TrialState.PRUNED: "stopped", TrialState.FAIL: "failed"}


@dataclass(frozen=True)
class Tried:
    """One trial. ``values`` by objective is None unless it was measured to the end, ``best_epoch`` 0 without epochs."""

    number: int
    state: str
    values: list[float] | None
    settings: Settings
    cpu_seconds: float
    best_epoch: int
    error: str | None


@dataclass(frozen=True)
class Outcome:
    """``best`` leads in the first objective, ``front`` is where none can gain in one objective without losing in
    another, ``configured`` the trial of the settings as they were (None: outside the space); all trial numbers.
    ``importance`` has for each objective the share of each setting in what makes trials good (PED-ANOVA)."""

    name: str
    model: str
    data: dict[str, str]
    objectives: list[str]
    directions: list[Direction]
    space: dict[str, Any]
    trials: list[Tried]
    best: int
    front: list[int]
    configured: int | None
    importance: dict[str, dict[str, float]]
    params: dict[str, Any]  # what the configuration's ``params`` said of this model
    next_steps: list[str]  # command lines

    @classmethod
    def of(cls, study: optuna.Study, search: Search, dataset: Dataset) -> Outcome:
        """Raises ModelError when no trial was measured to the end."""
        counted = finished(study)
        measured = [trial for trial in counted if trial.state is TrialState.COMPLETE]
        if not measured:
            errors = [trial.user_attrs.get("error", "stopped early") for trial in counted]
            raise ModelError(
                f"tune: no trial of {search.name} came to an end; {'; '.join(errors[-1:]) or 'none began'}"
            )
        ways = directions(search.objectives)
        best = (min if ways[0] == "minimize" else max)(measured, key=lambda trial: trial.values[0])
        label = search.config.choices["model"]
        return cls(
            name=search.name,
            model=label,
            data={"name": dataset.name, "fingerprint": dataset.fingerprint, "split": search.split.fingerprint},
            objectives=list(search.objectives),
            directions=ways,
            space=search.config["tune"]["space"],
            trials=[_tried(trial) for trial in counted],
            best=best.number,
            front=[trial.number for trial in study.best_trials],
            configured=next((trial.number for trial in measured if trial.user_attrs.get("configured")), None),
            importance=_importance(study, search.objectives, ways) if len(measured) >= ENOUGH else {},
            params=search.config["params"].get(label) or {},
            next_steps=_next_steps(search, best.params),
        )

    def trial(self, number: int) -> Tried:
        return next(trial for trial in self.trials if trial.number == number)

    def applied(self, config: Config) -> Config:
        """``config`` with the best settings, and the name of this study."""
        settings = self.trial(self.best).settings
        return config.but(*_overrides(settings), f"tune.study={self.name}")

    def write(self, folder: Path) -> None:
        """``study.json``, and ``experiment/best.yaml``; with several objectives a file for each of the front too."""
        with replacing(folder / "study.json") as path:
            path.write_text(json.dumps(self.to_dict(), indent=2))
        members = {f"trial-{number}": number for number in self.front if len(self.objectives) > 1}
        for name, number in {"best": self.best, **members}.items():
            with replacing(folder / "experiment" / f"{name}.yaml") as path:
                path.write_text(self._experiment(number))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def _experiment(self, number: int) -> str:
        """The trial's settings as a file of overrides."""
        from omegaconf import OmegaConf

        trial, before = self.trial(number), self.configured
        params = {self.model: {**self.params, **trial.settings}}
        words = f"trial {number} of {len(self.trials)}: {self.described(number)} on the validation part"
        compared = "" if before is None else f"; {self.described(before)} before"
        body = OmegaConf.to_yaml(OmegaConf.create({"params": params, "tune": {"study": self.name}}))
        return f"# @package _global_\n# {self.model} as a search chose it, {words}{compared}.\n{body}"

    def described(self, number: int) -> str:
        """The trial's values in words: "ndcg@10 0.0931, coverage@10 0.2210"."""
        values = self.trial(number).values or []
        return ", ".join(f"{name} {value:.4f}" for name, value in zip(self.objectives, values, strict=True))


def _tried(trial: FrozenTrial) -> Tried:
    about = trial.user_attrs
    return Tried(
        number=trial.number,
        state=STATES[trial.state],
        values=list(trial.values) if trial.state is TrialState.COMPLETE else None,
        settings=trial.params,
        cpu_seconds=about.get("cpu_seconds", 0.0),
        best_epoch=about.get("best_epoch", 0),
        error=about.get("error"),
    )


def _importance(study: optuna.Study, objectives: tuple[str, ...], ways: list[Direction]) -> dict[str, dict[str, float]]:
    def of(place: int) -> dict[str, float]:
        sign = 1 if ways[place] == "minimize" else -1  # it asks what makes the target low
        with warnings.catch_warnings():  # and says so on every call
            warnings.simplefilter("ignore", UserWarning)
            return get_param_importances(study, target=lambda trial: sign * trial.values[place])

    return {objective: of(place) for place, objective in enumerate(objectives)}


def _next_steps(search: Search, best: Settings) -> list[str]:
    """Command lines: train with the best settings, search on. A folder of the user's own leaves no room for ours, so
    that the settings are written out.
    """
    config = search.config
    said = [
        word for word in config.overrides if not word.startswith(("tune=", "experiment=", "model=", "tune.trials="))
    ]
    own = next((word.partition("=")[2] for word in config.overrides if word.startswith("experiment=")), "")
    before, model = [f"experiment={own}"] if own else [], f"model={config.choices['model']}"
    plain = [word for word in said if not named(word).startswith("tune.")]
    if config.conf_dir is None:
        theirs, ours = [], ["--conf-dir", str(config.path("studies") / search.name)]
        trained = [f"experiment=[{own.strip('[]')},best]" if own else "experiment=best", model, *plain]
    else:
        theirs, ours = ["--conf-dir", str(config.conf_dir)], []
        trained = [*before, model, *plain, *_overrides(best), f"tune.study={search.name}"]
    more = [*before, model, *said, f"tune.trials={2 * config['tune']['trials']}"]
    return [
        shlex.join(["recsys-lab", "train", *theirs, *ours, *trained]),
        shlex.join(["recsys-lab", "tune", *theirs, *more]),
    ]


def _overrides(settings: Settings) -> list[str]:
    return [f"model.{name}={json.dumps(value)}" for name, value in settings.items()]
