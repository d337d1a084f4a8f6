"""One training run: epochs on one device or several, the curve, the best weights at the end."""

from __future__ import annotations

import inspect
import logging
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import pytorch_lightning as pl
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import RichProgressBar
from torch import nn

from recsys_lab.errors import ConfigError, ModelError
from recsys_lab.nn.checkpoint import Curve
from recsys_lab.nn.compiled import compile_encoders
from recsys_lab.nn.lightning import Training
from recsys_lab.nn.peers import Place, beside
from recsys_lab.nn.recipe import Recipe
from recsys_lab.nn.record import SCORE, Record

__all__ = ["SCORE", "Batches", "train"]

OURS = {"max_epochs", "callbacks", "logger", "enable_checkpointing", "enable_model_summary", "gradient_clip_val"}
OURS |= {"num_nodes", "plugins"}
CHATTER = ("pytorch_lightning", "lightning_fabric")
STRATEGIES = ("auto", "ddp", "ddp_find_unused_parameters_true")
PRECISIONS = ("32-true", "32", "bf16-mixed", "16-mixed")  # of the weights always 32 bits: lists are made of them


class Batches(Protocol):
    """One pass per ``iter``; its order and draws depend on ``passes``, the number of those before it."""

    passes: int

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Any]: ...


def train(
    objective: nn.Module,
    batches: Batches,
    recipe: Recipe,
    *,
    validate: Callable[[], float] | None = None,
    folder: Path | None = None,
    place: Place | None = None,
) -> Curve:
    """Minimise ``objective`` over ``batches``, one pass per epoch, and say how it went epoch by epoch.

    With ``validate``, called after each epoch with the weights in main memory, training ends when
    the score has not risen for the recipe's ``patience`` epochs, and the best epoch's weights are put back.
    Without it exactly ``max_epochs`` are run. Torch's global random state is set at each epoch.

    A training that was killed goes on from what it left in ``folder``, to the very same end. On several
    devices the other processes are started here, and run this function in their own ``place``.

    With ``compile`` among the trainer's settings, sequence encoders are compiled first (``nn/compiled.py``).

    Raises ConfigError for settings that Lightning refuses and for a missing compiler, ModelError when the loss is
    not finite.
    """
    module = Training(objective, recipe)
    record = Record(module, validate, folder)
    place = Place.first() if place is None else place
    with _quiet(), _interruptible():
        left = recipe.max_epochs - len(record.curve)
        settings = dict(recipe.trainer)
        compiled = settings.pop("compile", False)
        if not isinstance(compiled, bool):
            raise ConfigError(f"trainer.compile: {compiled!r} is unknown; use true or false")
        trainer = _trainer(settings, max_epochs=left, callbacks=[record], plugins=[place])
        shared = trainer.world_size > 1 and recipe.optimizer == "rowwise_adam"
        if shared and trainer.strategy.root_device.type != "cpu":  # gloo adds sparse gradients up, NCCL does not
            raise ConfigError("optimizer: rowwise_adam's sparse gradients cannot be shared here; use trainer.devices=1")
        if not record.is_over:
            if compiled:
                compile_encoders(objective, trainer.strategy.root_device)
            share = Share(batches, module.passes, place.local_rank(), trainer.world_size)
            with beside(place, trainer, (objective, batches, recipe.recipe(), validate is not None, folder)):
                trainer.fit(module, train_dataloaders=share)
    if record.best:
        objective.load_state_dict(record.best)
    return record.curve


class Share:
    """One process's batches: every ``of``-th. What does not go round at the end of a pass is left out, other
    batches each time, so that all processes take the same number of steps."""

    def __init__(self, batches: Batches, passes: int, rank: int, of: int) -> None:
        self.batches = batches
        self.passes = passes
        self.rank = rank
        self.of = of
        if len(batches) < of:
            raise ModelError(f"trainer.devices: {of} processes for {len(batches)} batches; use a smaller batch_size")

    def __len__(self) -> int:
        return len(self.batches) // self.of

    def __iter__(self) -> Iterator[Any]:
        self.batches.passes = self.passes
        self.passes += 1
        return islice(self.batches, self.rank, len(self) * self.of, self.of)


def _trainer(settings: Mapping[str, Any], *, callbacks: list[pl.Callback], **ours: Any) -> pl.Trainer:
    for name in settings:
        if name in OURS or name not in inspect.signature(pl.Trainer).parameters:
            raise ConfigError(f"trainer.{name}: not a setting here; use accelerator, devices, precision and the like")
    if settings.get("strategy", "auto") not in STRATEGIES:
        raise ConfigError(f"trainer.strategy: {settings['strategy']!r} is none of {', '.join(STRATEGIES)}")
    if str(settings.get("precision") or "32") not in PRECISIONS:
        raise ConfigError(f"trainer.precision: {settings['precision']!r} is none of {', '.join(PRECISIONS)}")
    together = settings.get("accumulate_grad_batches", 1)
    if not (isinstance(together, int) and together >= 1):
        raise ConfigError(f"trainer.accumulate_grad_batches: {together!r} is no number of batches; use 1 or more")
    if settings.get("enable_progress_bar"):
        # on stderr: stdout belongs to results
        callbacks = [*callbacks, RichProgressBar(console_kwargs={"stderr": True})]
    try:
        return pl.Trainer(
            **{"accelerator": "cpu", "devices": 1, "enable_progress_bar": False, **settings, **ours},
            callbacks=callbacks,
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
        )
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise ConfigError(f"trainer: {dict(settings)} cannot work here: {error}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's announcements and advice on every fit; other warnings still come through."""
    chatter = [logging.getLogger(name) for name in CHATTER]
    levels = [one.level for one in chatter]
    for one in chatter:
        one.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            # Lightning 2.6 calls what torch 2.13 has deprecated
            warnings.filterwarnings("ignore", message=r".*treespec, LeafSpec.*", category=FutureWarning)
            warnings.filterwarnings("ignore", message=r"GPU available but not used")  # as ``trainer`` says
            yield
    finally:
        for one, level in zip(chatter, levels, strict=True):
            one.setLevel(level)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C stays KeyboardInterrupt; Lightning would end the process, a notebook's too, and go deaf to the next."""
    listener = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as ended:
        if isinstance(ended.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, listener)
