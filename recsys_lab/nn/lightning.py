"""The loss and the optimiser, as Lightning wants them. Nothing else lives here."""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from recsys_lab.nn.recipe import Recipe


class Training(pl.LightningModule):
    """Minimises ``objective(batch)`` with AdamW; with ``recipe.weight_decay`` 0 that is Adam."""

    def __init__(self, objective: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.objective = objective
        self.recipe = recipe

    def training_step(self, batch: tuple[Tensor, ...]) -> Tensor:
        loss: Tensor = self.objective(batch)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        recipe = self.recipe
        return torch.optim.AdamW(self.objective.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
