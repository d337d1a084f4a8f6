"""A moving average of the weights, which is steadier than the weights themselves.

Shapes: I items (rows of a table), D width, R rows that a step touched.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

ROWS_AT_ONCE = 1 << 18


class MovingAverage:
    """average ← m · average + (1 - m) · weights at each step; ``memory`` is the largest m.

    m grows as (1 + n) / (10 + n) with the steps n, so that the first steps are soon forgotten. A table with
    sparse gradients is not swept at each step: a row that was not touched for a while makes up for it
    when it is touched, or looked at, since its weights stood still meanwhile; the result is the same.

    Polyak & Juditsky 1992; Kingma & Ba 2015, section 7.2.
    """

    def __init__(self, objective: nn.Module, memory: float) -> None:
        self.memory = memory
        self.weights = {name: one for name, one in objective.named_parameters() if one.requires_grad}
        self.average = {name: one.detach().clone() for name, one in self.weights.items()}
        self.steps = 0
        self.forgotten = 0.0  # log of the product of all m since the last ``settle``
        self.caught_up: dict[str, Tensor] = {}  # what it was when a row was last up to date, [I] float64
        self._touched: dict[str, Tensor] = {}

    @torch.no_grad()
    def before_step(self) -> None:
        """To be called when the gradients are known, and the weights still the old ones."""
        self._touched = {}
        for name, weights in self.weights.items():
            if weights.grad is not None and weights.grad.is_sparse:
                rows = self._touched[name] = weights.grad.coalesce().indices()[0]
                if name not in self.caught_up:
                    self.caught_up[name] = rows.new_full((len(weights),), self.forgotten, dtype=torch.float64)
                self._catch_up(name, rows)

    @torch.no_grad()
    def after_step(self) -> None:
        self.steps += 1
        kept = min(self.memory, (1 + self.steps) / (10 + self.steps))
        self.forgotten += math.log(kept)
        for name, weights in self.weights.items():
            if name not in self.caught_up:
                self.average[name].lerp_(weights, 1 - kept)
        for name, rows in self._touched.items():
            self.average[name][rows] = self.average[name][rows].lerp_(self.weights[name][rows], 1 - kept)
            self.caught_up[name][rows] = self.forgotten

    @torch.no_grad()
    def settle(self) -> None:
        """Bring all rows up to date; to be called at the end of an epoch, before anybody looks."""
        for name, since in self.caught_up.items():
            for rows in torch.split(torch.arange(len(since), device=since.device), ROWS_AT_ONCE):
                self._catch_up(name, rows)
            since.zero_()
        self.forgotten = 0.0

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Meanwhile the network has the averages for weights; nothing is copied."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def restore(self, average: dict[str, Tensor], steps: int) -> None:
        """Go on from what ``average`` and ``steps`` were after ``settle``."""
        for name, one in average.items():
            self.average[name].copy_(one)
        self.steps = steps

    def _swap(self) -> None:
        for name, weights in self.weights.items():
            weights.data, self.average[name] = self.average[name], weights.data

    def _catch_up(self, name: str, rows: Tensor) -> None:
        kept = torch.exp(self.forgotten - self.caught_up[name][rows]).to(self.average[name].dtype)
        self.average[name][rows] = torch.lerp(self.weights[name][rows], self.average[name][rows], kept[:, None])
        self.caught_up[name][rows] = self.forgotten
