"""The loss and the optimiser, as Lightning wants them. Nothing else lives here."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from recsys_lab.errors import ConfigError
from recsys_lab.nn.average import MovingAverage
from recsys_lab.nn.optimizer import clip, largest_table, optimizer_of, sparse_table
from recsys_lab.nn.recipe import Recipe
from recsys_lab.nn.schedule import learning_rate


class Training(pl.LightningModule):
    """Minimises ``objective(batch)`` as the recipe says; ``passes`` epochs were done in an earlier process."""

    def __init__(self, objective: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.objective = objective
        self.recipe = recipe
        self.passes = 0
        self.average: MovingAverage | None = None
        if recipe.optimizer == "rowwise_adam":
            sparse_table(objective)  # now, since processes agree on what is sparse before they share anything

    def training_step(self, batch: tuple[Tensor, ...]) -> Tensor:
        loss: Tensor = self.objective(batch)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        if self.recipe.average:  # here, since the weights have reached their device
            self.average = MovingAverage(self.objective, self.recipe.average)
        return optimizer_of(self.objective, self.recipe)

    def on_train_batch_start(self, _batch: Any, index: int) -> None:
        done = self.passes + self.current_epoch + (index + 0.5) / self.trainer.num_training_batches
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = learning_rate(self.recipe, done)

    def configure_gradient_clipping(self, *_settings: Any, **_more: Any) -> None:
        clip(list(self.objective.parameters()), self.recipe.clip)

    def on_before_optimizer_step(self, _optimizer: torch.optim.Optimizer) -> None:
        if self.recipe.optimizer == "rowwise_adam":
            table = largest_table(self.objective)
            if table is not None and table.weight.grad is not None and not table.weight.grad.is_sparse:
                raise ConfigError("optimizer: rowwise_adam needs a loss that looks at some of the items; sample them")
        if self.average is not None:
            self.average.before_step()

    def optimizer_step(self, *arguments: Any, **more: Any) -> None:
        super().optimizer_step(*arguments, **more)
        if self.average is not None:
            self.average.after_step()
