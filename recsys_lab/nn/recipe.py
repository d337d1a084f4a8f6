"""How a network is fitted: the settings that all neural models share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from recsys_lab.errors import ConfigError

Decay = Literal["linear", "cosine"]
OptimizerName = Literal["adam", "rowwise_adam"]


@dataclass(kw_only=True, eq=False)
class Recipe:
    """``optimizer`` is ``adam``, or ``rowwise_adam`` for a table of millions of items: see ``nn.optimizer``.
    ``weight_decay`` is AdamW's, ``clip`` the largest norm of the gradient (0: no limit).

    The learning rate rises from zero over ``warmup_epochs`` (fractions count) and then falls to zero
    until the end of epoch ``decay_epochs`` (0: it stays), in the form of ``decay``: see ``nn.schedule``.
    With ``average`` above 0 what is validated and kept are the weights' moving average, which keeps
    that share of itself at every step: see ``nn.average``.

    ``max_epochs`` bounds the training; ``patience`` is the number of epochs without a better validation
    score after which it stops. ``trainer`` holds settings of ``pytorch_lightning.Trainer``, and
    ``compile``, whether ``torch.compile`` translates sequence encoders. All draws come from ``seed``, epoch by epoch.

    Raises ConfigError for a value that cannot work.
    """

    batch_size: int = 128
    optimizer: OptimizerName = "adam"
    learning_rate: float = 1e-3
    warmup_epochs: float = 0.0
    decay: Decay = "cosine"
    decay_epochs: int = 0
    weight_decay: float = 0.0
    clip: float = 1.0
    average: float = 0.0
    max_epochs: int = 50
    patience: int = 5
    trainer: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 7

    def __post_init__(self) -> None:
        at_least(1, batch_size=self.batch_size, max_epochs=self.max_epochs, patience=self.patience)
        at_least(0, learning_rate=self.learning_rate, weight_decay=self.weight_decay, clip=self.clip)
        at_least(0, warmup_epochs=self.warmup_epochs, decay_epochs=self.decay_epochs)
        share(average=self.average)
        one_of(get_args(OptimizerName), optimizer=self.optimizer)
        one_of(get_args(Decay), decay=self.decay)
        if 0 < self.decay_epochs <= self.warmup_epochs:
            raise ConfigError(f"decay_epochs: {self.decay_epochs} must lie after warmup_epochs {self.warmup_epochs}")

    def recipe(self) -> Recipe:
        """These settings alone, without the model that has them."""
        return Recipe(**{one.name: getattr(self, one.name) for one in fields(Recipe)})


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
