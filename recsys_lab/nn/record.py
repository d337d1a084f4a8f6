"""A training run from the outside: its curve, the best weights, when it is over, what survives a kill."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from recsys_lab.errors import ModelError
from recsys_lab.nn.checkpoint import Checkpoint, Curve, Pace, optimizer_tensors, restore_optimizer
from recsys_lab.nn.lightning import Training

SCORE = "valid_ndcg@10"


class Record(pl.Callback):
    """Among several processes the first alone validates, keeps and writes; the others hear what it decided."""

    def __init__(self, module: Training, validate: Callable[[], float] | None, folder: Path | None) -> None:
        self.module = module
        self.validate = validate
        self.folder = folder
        self.curve: Curve = []
        self.best: dict[str, Tensor] = {}  # the weights to end with, where they are not the last ones
        self._saved = Checkpoint.load(folder) if folder is not None else None
        self._pace = Pace()
        self._losses: list[Tensor] = []
        self._began = 0.0
        if self._saved is not None:
            self.curve, self.best = self._saved.curve, self._saved.best
            module.objective.load_state_dict(self._saved.weights)
            module.passes = len(self.curve)

    @property
    def is_over(self) -> bool:
        scores = [entry[SCORE] for entry in self.curve if SCORE in entry]
        patient = not scores or len(scores) - 1 - scores.index(max(scores)) < self.module.recipe.patience
        return len(self.curve) >= self.module.recipe.max_epochs or not patient

    def on_train_start(self, trainer: pl.Trainer, _module: pl.LightningModule) -> None:
        if self._saved is not None:
            restore_optimizer(trainer.optimizers[0], self._saved.optimizer)
            if self.module.average is not None:
                self.module.average.restore(self._saved.average, self._saved.average_steps)
            self._saved = None

    def on_train_epoch_start(self, trainer: pl.Trainer, _module: pl.LightningModule) -> None:
        words = [self.module.recipe.seed, len(self.curve), trainer.global_rank]
        torch.manual_seed(int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0]))
        self._losses, self._began = [], time.perf_counter()

    def on_train_batch_end(self, trainer: Any, _module: Any, outputs: Any, _batch: Any, _index: int) -> None:
        self._losses.append(outputs["loss"].detach() * trainer.accumulate_grad_batches)  # Lightning divides by it

    def on_train_epoch_end(self, trainer: pl.Trainer, _module: pl.LightningModule) -> None:
        loss = float(trainer.strategy.reduce(torch.stack(self._losses).mean(), reduce_op="mean"))
        epoch = len(self.curve) + 1
        if not loss < float("inf"):
            raise ModelError(f"the training loss is {loss} in epoch {epoch}; use a smaller learning_rate")
        entry = {"epoch": float(epoch), "train_loss": loss}
        if self.module.average is not None:
            self.module.average.settle()
        if self.validate is not None:
            score = self._score(self.validate) if trainer.is_global_zero else 0.0
            entry[SCORE] = trainer.strategy.broadcast(score)
        self.curve.append({**entry, "seconds": time.perf_counter() - self._began})
        shown = {name: value for name, value in entry.items() if name != "epoch"}
        self.module.log_dict(shown, prog_bar=True, sync_dist=trainer.world_size > 1)
        trainer.should_stop = self.is_over
        if self.is_over and self.validate is None and self.module.average is not None:
            with self.module.average.in_place():
                self._keep()
        if self.folder is not None and trainer.is_global_zero and (self._pace.is_due or self.is_over):
            self._pace.save(self._checkpoint(trainer), self.folder)

    def _score(self, validate: Callable[[], float]) -> float:
        module = self.module
        device = module.device
        with module.average.in_place() if module.average is not None else nullcontext():
            module.to("cpu")
            score = validate()
            if score > max((entry[SCORE] for entry in self.curve), default=-1.0):
                self._keep()
            module.to(device)
        module.train()
        return score

    def _keep(self) -> None:
        for name, tensor in self.module.objective.state_dict().items():
            if name in self.best:  # a second copy would not fit beside a very large one
                self.best[name].copy_(tensor)
            else:
                self.best[name] = tensor.clone()

    def _checkpoint(self, trainer: pl.Trainer) -> Checkpoint:
        average = self.module.average
        return Checkpoint(
            curve=self.curve,
            weights=self.module.objective.state_dict(),
            best=self.best,
            optimizer=optimizer_tensors(trainer.optimizers[0]),
            average={} if average is None else average.average,
            average_steps=0 if average is None else average.steps,
        )
