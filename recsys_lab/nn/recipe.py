"""How a network is fitted: the settings that all neural models share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from recsys_lab.errors import ConfigError


@dataclass(kw_only=True, eq=False)
class Recipe:
    """``weight_decay`` is AdamW's, ``clip`` the largest norm of the gradient (0: no limit).

    ``max_epochs`` bounds the training; ``patience`` is the number of epochs without a better validation
    score after which it stops. ``trainer`` holds settings of ``pytorch_lightning.Trainer``. All
    draws come from ``seed``, epoch by epoch.

    Raises ConfigError for a value that cannot work.
    """

    batch_size: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    clip: float = 1.0
    max_epochs: int = 50
    patience: int = 5
    trainer: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 7

    def __post_init__(self) -> None:
        at_least(1, batch_size=self.batch_size, max_epochs=self.max_epochs, patience=self.patience)
        at_least(0, learning_rate=self.learning_rate, weight_decay=self.weight_decay, clip=self.clip)


def at_least(least: float, **settings: float) -> None:
    """Raises ConfigError for the first of ``settings`` that is below ``least``, or not a number."""
    for name, value in settings.items():
        if not value >= least:
            raise ConfigError(f"{name}: {value} cannot work; use {least} or more")


def share(**settings: float) -> None:
    """Raises ConfigError for the first of ``settings`` that is not at least 0 and below 1."""
    for name, value in settings.items():
        if not 0 <= value < 1:
            raise ConfigError(f"{name}: {value} is no share; use 0 or more, below 1")


def one_of(choices: tuple[str, ...], **settings: str) -> None:
    """Raises ConfigError for the first of ``settings`` that is none of ``choices``."""
    for name, value in settings.items():
        if value not in choices:
            raise ConfigError(f"{name}: {value!r} is unknown; use one of {', '.join(choices)}")
