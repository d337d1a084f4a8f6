"""The loss and the optimiser, as Lightning wants them. Nothing else lives here."""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from torch import Tensor, nn


class Training(pl.LightningModule):
    """Minimises ``objective(batch)`` with AdamW; with ``weight_decay`` 0 that is Adam."""

    def __init__(self, objective: nn.Module, learning_rate: float, weight_decay: float) -> None:
        super().__init__()
        self.objective = objective
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay

    def training_step(self, batch: tuple[Tensor, ...]) -> Tensor:
        loss: Tensor = self.objective(batch)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.objective.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay)
