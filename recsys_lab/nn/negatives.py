"""Items that a training step takes as wrong answers, and how likely each was to be taken.

Shapes: N positions that ask, I items, S wrong answers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

SOURCES = ("uniform", "popularity", "in_batch", "mixed")


class Negatives(NamedTuple):
    """[S] codes that all positions share, or [N, S] for each position its own."""

    items: Tensor
    log_q: Tensor  # log probability of each in one draw


class NegativeSampler(nn.Module):
    """Draws ``size`` items with replacement, once for a whole batch or, not ``shared``, for each position.

    ``source`` is ``popularity`` (in proportion to ``counts ** power``), ``uniform`` (all items with an
    event alike), ``in_batch`` (the batch's own targets, so in proportion to counts) or ``mixed``
    (half of them in_batch, half uniform: Yang et al., WWW 2020). Popular draws are hard to tell from
    the right answer, uniform ones meet rare items often enough to learn where they do not belong.
    Draws follow torch's own random state, which the training seeds.
    """

    log_q: Tensor  # [I] of one draw, -inf for items without an event
    _cumulative: Tensor  # [I]
    _touched: Tensor  # codes of items with an event

    def __init__(
        self,
        counts: NDArray[np.int64],
        *,
        size: int,
        source: str = "popularity",
        power: float = 0.75,
        shared: bool = True,
    ) -> None:
        super().__init__()
        self.size = size
        self.shared = shared
        touched = counts > 0
        uniform, as_data = touched / touched.sum(), counts / counts.sum()
        powered = np.where(touched, np.maximum(counts, 1).astype(np.float64) ** power, 0.0)
        shares = {
            "uniform": uniform,
            "popularity": powered / powered.sum(),
            "in_batch": as_data,
            "mixed": (uniform + as_data) / 2,
        }[source]
        with np.errstate(divide="ignore"):
            self.register_buffer("log_q", torch.from_numpy(np.log(shares).astype(np.float32)), persistent=False)
        self.register_buffer("_touched", torch.from_numpy(np.flatnonzero(touched)), persistent=False)
        self.register_buffer("_cumulative", torch.from_numpy(shares.cumsum()), persistent=False)
        self._draw: Callable[[int, Tensor], Tensor] = {
            "uniform": self._uniform,
            "popularity": self._popular,
            "in_batch": _out_of,
            "mixed": self._mixed,
        }[source]

    @property
    def n_items(self) -> int:
        """How many items may be drawn."""
        return len(self._touched)

    def draw(self, targets: Tensor) -> Negatives:
        """For a batch whose positions expect ``targets`` [N]."""
        sets = 1 if self.shared else len(targets)
        items = self._draw(sets * self.size, targets)
        if not self.shared:
            items = items.view(sets, self.size)
        return Negatives(items, self.log_q[items])

    def _uniform(self, size: int, _targets: Tensor) -> Tensor:
        return _out_of(size, self._touched)

    def _popular(self, size: int, _targets: Tensor) -> Tensor:
        points = torch.rand(size, dtype=torch.float64, device=self._cumulative.device) * self._cumulative[-1]
        return torch.searchsorted(self._cumulative, points, right=True).clamp_(max=len(self._cumulative) - 1)

    def _mixed(self, size: int, targets: Tensor) -> Tensor:
        from_batch = torch.rand(size, device=targets.device) < 0.5
        return torch.where(from_batch, _out_of(size, targets), _out_of(size, self._touched))


def _out_of(size: int, codes: Tensor) -> Tensor:
    return codes[torch.randint(len(codes), (size,), device=codes.device)]
