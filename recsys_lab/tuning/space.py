"""Which settings of a model are tried, and between which bounds: ``tune.space`` of a configuration.

regularization: { low: 1.0e-4, high: 1.0, log: true }                      # a span
loss: [softmax, sampled_softmax]                                           # choices
negatives: { low: 64, high: 2048, when: { loss: sampled_softmax } }        # only with that choice
sampler: { choices: [uniform, popularity], when: { loss: sampled_softmax } }
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from recsys_lab.errors import ConfigError

if TYPE_CHECKING:
    from optuna.trial import Trial

    from recsys_lab.config import Config

Value: TypeAlias = bool | int | float | str | None
Settings = dict[str, Value]


class Span(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Numbers from ``low`` to ``high``, both included; whole ones where both bounds are whole.

    ``log`` tries each factor of ten alike, ``step`` only every so many.
    """

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = None
    when: dict[str, Value] = {}

    def suggest(self, trial: Trial, name: str) -> Value:
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(name, self.low, self.high, log=self.log, step=int(self.step or 1))
        return trial.suggest_float(name, self.low, self.high, log=self.log, step=self.step)

    def holds(self, value: Value) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high


class Choices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of a few values."""

    choices: list[Value]
    when: dict[str, Value] = {}

    def suggest(self, trial: Trial, name: str) -> Value:
        return trial.suggest_categorical(name, self.choices)

    def holds(self, value: Value) -> bool:
        return any(value == choice and type(value) is type(choice) for choice in self.choices)


@dataclass(frozen=True)
class Space:
    """The settings that are tried, in the order in which they are drawn."""

    parts: dict[str, Span | Choices]

    @classmethod
    def of(cls, described: Mapping[str, Any], model: Mapping[str, Any], label: str) -> Space:
        """The space that ``tune.space`` describes, for the settings ``model`` of the model called ``label``.

        Raises ConfigError when nothing is described, or what is cannot be tried.
        """
        if not described:
            raise ConfigError(
                f"tune.space: nothing says what to try for {label}; write conf/tune/{label}.yaml, or leave it out"
            )
        parts: dict[str, Span | Choices] = {}
        for name, written in described.items():
            key = f"tune.space.{name}"
            if name not in model:
                known = sorted(set(model) - {"_target_"})
                raise ConfigError(f"{key}: {label} has no such setting; it has {known}")
            part = _part(key, written)
            later = set(part.when) - set(parts)
            if later:
                raise ConfigError(f"{key}.when: {sorted(later)} must be tried too, and stand above")
            parts[name] = part
        return cls(parts)

    def suggest(self, trial: Trial) -> Settings:
        """The settings that ``trial`` tries; those whose ``when`` is not met are absent."""
        drawn: Settings = {}
        for name, part in self.parts.items():
            if _met(part, drawn):
                drawn[name] = part.suggest(trial, name)
        return drawn

    def within(self, model: Mapping[str, Any]) -> Settings | None:
        """The present settings of ``model`` as a point of this space; None when they lie outside."""
        point: Settings = {}
        for name, part in self.parts.items():
            if not _met(part, point):
                continue
            if not part.holds(model[name]):
                return None
            point[name] = model[name]
        return point


def configured_space(config: Config) -> Space:
    """What ``config`` tries for its model. Raises ConfigError when that cannot be tried."""
    return Space.of(config["tune"]["space"], config["model"], config.choices["model"])


def _met(part: Span | Choices, drawn: Settings) -> bool:
    return all(name in drawn and drawn[name] == value for name, value in part.when.items())


def _part(key: str, written: Any) -> Span | Choices:
    kind: type[Span | Choices] = Span
    if isinstance(written, list) or (isinstance(written, Mapping) and "choices" in written):
        kind, written = Choices, {"choices": written} if isinstance(written, list) else written
    try:
        part = msgspec.convert(written, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"{key}: {written!r} cannot be tried ({error}); write a list, or {{low: …, high: …, log: true}}"
        ) from None
    if isinstance(part, Choices) and not part.choices:
        raise ConfigError(f"{key}: an empty list leaves nothing to try")
    if isinstance(part, Span):
        _check_bounds(key, part)
    return part


def _check_bounds(key: str, span: Span) -> None:
    if not span.low <= span.high:
        raise ConfigError(f"{key}: low {span.low} is above high {span.high}")
    if span.log and not span.low > 0:
        raise ConfigError(f"{key}: log needs a low above 0, not {span.low}")
    if span.step is not None and (span.log or not span.step > 0):
        raise ConfigError(f"{key}: step {span.step} must be positive, and cannot be had together with log")
