"""Histories that lie one behind the other without padding, as an exported graph takes them.

Layers that look at one event at a time work on [N, ..]; what looks along a history gathers its events first.
Shapes: N events, B histories of at least one each, T the longest, rounded up.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Histories:
    """Where the events of each history are, as ``Queries.packed`` says."""

    cells: Tensor  # [N] where each event is in ``places``, counted row by row
    places: Tensor  # [B, T] the events of each history, oldest first, then -1

    @property
    def newer(self) -> Tensor:
        """How many events of its history came after each, [N]."""
        return newer_at(self.places).flatten().index_select(0, self.cells)

    @property
    def latest(self) -> Tensor:
        """The latest event of each, [B]."""
        return self.places.amax(dim=1)


def inside(places: Tensor) -> Tensor:
    """``places`` [B, T] with the history's first event for padding. It will be hidden, but must be some number, and
    nobody else's: what is not finite shows even if it counts nothing."""
    return torch.where(places < 0, places[:, :1], places)


def newer_at(places: Tensor) -> Tensor:
    """How many events of the history came after those at ``places`` [B, T]; for padding any number, not below 0."""
    return places.amax(dim=1, keepdim=True) - places


def log1p(numbers: Tensor) -> Tensor:
    """ln(1 + x), the same to the last bit wherever a number lies: kernels treat what is left over at the end, when they
    have taken eight at a time, in another way; so each is there eight times."""
    return torch.log1p(numbers[..., None].expand(*numbers.shape, 8))[..., 0]
