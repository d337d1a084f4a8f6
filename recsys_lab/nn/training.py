"""One training run: epochs on one device, the curve, early stopping, the best weights at the end."""

from __future__ import annotations

import copy
import inspect
import logging
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import RichProgressBar
from torch import Tensor, nn

from recsys_lab.errors import ConfigError, ModelError
from recsys_lab.nn.lightning import Training
from recsys_lab.nn.recipe import Recipe

Curve = list[dict[str, float]]

SCORE = "valid_ndcg@10"
OURS = ("max_epochs", "callbacks", "logger", "enable_checkpointing", "enable_model_summary", "gradient_clip_val")


def train(
    objective: nn.Module,
    batches: Any,
    recipe: Recipe,
    *,
    validate: Callable[[], float] | None = None,
) -> Curve:
    """Minimise ``objective`` over ``batches``, one pass per epoch, and say how it went epoch by epoch.

    With ``validate``, called after each epoch with the weights in main memory, training ends when
    the score has not risen for the recipe's ``patience`` epochs, and the best epoch's weights are put back.
    Without it exactly ``max_epochs`` are run. Draws follow torch's global random state.

    Raises ConfigError for settings that Lightning refuses, ModelError when the loss is not finite.
    """
    record = _Record(objective, recipe.patience, validate)
    module = Training(objective, recipe)
    with _quiet(), _interruptible():
        trainer = _trainer(
            recipe.trainer, max_epochs=recipe.max_epochs, gradient_clip_val=recipe.clip, callbacks=[record]
        )
        trainer.fit(module, train_dataloaders=batches)
    if record.best_weights is not None:
        objective.load_state_dict(record.best_weights)
    return record.curve


def _trainer(settings: Mapping[str, Any], *, callbacks: list[pl.Callback], **ours: Any) -> pl.Trainer:
    for name in settings:
        if name in OURS or name not in inspect.signature(pl.Trainer).parameters:
            raise ConfigError(f"trainer.{name}: not a setting here; use accelerator, devices, precision and the like")
    if settings.get("enable_progress_bar"):
        # on stderr: stdout belongs to results
        callbacks = [*callbacks, RichProgressBar(console_kwargs={"stderr": True})]
    try:
        trainer = pl.Trainer(
            **{"accelerator": "cpu", "devices": 1, "enable_progress_bar": False, **settings, **ours},
            callbacks=callbacks,
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
        )
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise ConfigError(f"trainer: {dict(settings)} cannot work here: {error}") from error
    if trainer.world_size > 1:
        raise ConfigError(f"trainer.devices: {settings['devices']} means {trainer.world_size} devices; use 1")
    return trainer


class _Record(pl.Callback):
    """Keeps the curve and the best weights, and stops when patience is used up."""

    def __init__(self, objective: nn.Module, patience: int, validate: Callable[[], float] | None) -> None:
        self.objective = objective
        self.patience = patience
        self.validate = validate
        self.curve: Curve = []
        self.best_weights: dict[str, Tensor] | None = None
        self._losses: list[Tensor] = []
        self._began = 0.0

    def on_train_epoch_start(self, _trainer: pl.Trainer, _module: pl.LightningModule) -> None:
        self._losses, self._began = [], time.perf_counter()

    def on_train_batch_end(self, _trainer: Any, _module: Any, outputs: Any, _batch: Any, _index: int) -> None:
        self._losses.append(outputs["loss"].detach())

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        loss = torch.stack(self._losses).mean().item()
        epoch = len(self.curve) + 1
        if not loss < float("inf"):
            raise ModelError(f"the training loss is {loss} in epoch {epoch}; use a smaller learning_rate")
        entry = {"epoch": float(epoch), "train_loss": loss}
        if self.validate is not None:
            self._validate(entry, trainer, module, self.validate)
        self.curve.append({**entry, "seconds": time.perf_counter() - self._began})
        module.log_dict({name: value for name, value in entry.items() if name != "epoch"}, prog_bar=True)

    def _validate(
        self, entry: dict[str, float], trainer: pl.Trainer, module: pl.LightningModule, validate: Callable[[], float]
    ) -> None:
        device = module.device
        module.to("cpu")
        entry[SCORE] = validate()
        earlier = [past[SCORE] for past in self.curve]
        if entry[SCORE] > max(earlier, default=-1.0):
            self.best_weights = copy.deepcopy(self.objective.state_dict())
        elif len(earlier) - earlier.index(max(earlier)) >= self.patience:
            trainer.should_stop = True
        module.to(device).train()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's announcements and advice on every fit; other warnings still come through."""
    chatter = logging.getLogger("pytorch_lightning.utilities.rank_zero")
    level = chatter.level
    chatter.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            # Lightning 2.6 calls what torch 2.13 has deprecated
            warnings.filterwarnings("ignore", message=r".*treespec, LeafSpec.*", category=FutureWarning)
            yield
    finally:
        chatter.setLevel(level)


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
