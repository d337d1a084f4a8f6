"""Scaled dot-product attention, and in which layout the events lie that look at each other.

Training has histories of one length, left-padded; an exported graph has them packed (``nn/histories.py``).
Shapes: B batch, T history length, N events without padding, U those who ask, D width, H heads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys_lab.nn.dropout import Dropout
from recsys_lab.nn.histories import Histories, inside


class Attention(nn.Module):
    """``dropout`` is of the weights, whole positions that a look leaves out."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = Dropout(dropout)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.merge = nn.Linear(width, width)

    def forward(self, asking: Tensor, known: Tensor, looks: Looks) -> Tensor:
        """What those who ask find among all that are ``known``, shaped like ``asking``."""
        return looks.found(asking, known, self)


class Looks(Protocol):
    """Who looks at what. ``known`` are all events, [B, T, D] or [N, D]."""

    def asking(self, known: Tensor) -> Tensor:
        """Those of them who ask, [B, U, D], [N, D] or [B, D]."""

    def found(self, asking: Tensor, known: Tensor, layer: Attention) -> Tensor:
        """The values that they find, mixed and merged, shaped like ``asking``."""


@dataclass(frozen=True)
class Padded:
    """Each position of [B, T, D] asks, or with ``last_only`` the last one alone."""

    visible: Tensor  # [B or 1, 1, T, T] bool: which positions (columns) each position (row) may look at
    last_only: bool = False

    def asking(self, known: Tensor) -> Tensor:
        return known[:, -1:] if self.last_only else known

    def found(self, asking: Tensor, known: Tensor, layer: Attention) -> Tensor:
        visible = self.visible[:, :, -1:] if self.last_only else self.visible
        query = _heads(layer.query(asking), layer.heads)
        key, value = (_heads(part, layer.heads) for part in layer.key_value(known).chunk(2, dim=-1))
        if layer.training and layer.dropout.share:
            fit = (query @ key.transpose(2, 3)).div(key.shape[-1] ** 0.5).masked_fill(~visible, -torch.inf)
            found = layer.dropout(fit.softmax(dim=-1)) @ value
        else:
            found = functional.scaled_dot_product_attention(query, key, value, attn_mask=visible)
        together: Tensor = layer.merge(found[:, 0] if layer.heads == 1 else found.transpose(1, 2).flatten(2))
        return together


@dataclass(frozen=True)
class Each:
    """Each of N events asks what came before it in its history, and itself; not for training."""

    histories: Histories

    def asking(self, known: Tensor) -> Tensor:
        return known

    def found(self, asking: Tensor, known: Tensor, layer: Attention) -> Tensor:
        del known  # those who ask
        weight = torch.cat([layer.query.weight, layer.key_value.weight])
        bias = torch.cat([layer.query.bias, layer.key_value.bias])
        query, key, value = _spread(functional.linear(asking, weight, bias), self.histories, layer.heads)
        steps = torch.arange(query.shape[2], device=query.device)
        hidden = torch.where(steps > steps[:, None], -torch.inf, 0.0)
        found = _mixed(query, key, value, hidden)  # [B, H, T, D / H]
        if layer.heads > 1:
            found = found.transpose(1, 2)
        merged: Tensor = layer.merge(
            functional.embedding(self.histories.cells, found.reshape(-1, layer.heads * found.shape[-1]))
        )
        return merged


@dataclass(frozen=True)
class Latest:
    """The latest event of each of B histories asks what came before it, and itself; not for training.

    q · (K x + b) = (Kᵀ q) · x + q · b, where the last term is the same for all x, and Σ p (V x + c) = V Σ p x + c: so
    keys and values of all events, of which each would be looked at once, need not be made. What is left are products of
    weights, which an exported graph has made.
    """

    histories: Histories

    def asking(self, known: Tensor) -> Tensor:
        return functional.embedding(self.histories.latest, known)

    def found(self, asking: Tensor, known: Tensor, layer: Attention) -> Tensor:
        heads, width = layer.heads, known.shape[-1]
        shape = (heads, width // heads, width)
        key, value = layer.key_value.weight.view(2, *shape)  # each [H, D / H, D]
        to_query = key.transpose(1, 2) @ layer.query.weight.view(shape)  # [H, D, D]: Kᵀ Q
        offset = layer.query.bias.view(heads, 1, -1) @ key  # [H, 1, D]
        query = functional.linear(asking, to_query.flatten(0, 1), offset.flatten()).view(-1, heads, width)
        places = self.histories.places
        seen = functional.embedding(inside(places), known)  # [B, T, D]
        hidden = torch.where(places < 0, -torch.inf, 0.0)[:, None]
        fit = (query @ seen.transpose(1, 2)).div((width // heads) ** 0.5) + hidden  # [B, H, T]
        mixed = fit.softmax(dim=-1) @ seen  # [B, H, D]
        merge = layer.merge.weight.view(width, heads, -1).transpose(0, 1) @ value  # [H, D, D]: M V
        bias = layer.merge(layer.key_value.bias[width:])
        return functional.linear(mixed.flatten(1), merge.transpose(0, 1).flatten(1), bias)


def _mixed(query: Tensor, key: Tensor, value: Tensor, hidden: Tensor) -> Tensor:
    """Attention of [B, H, U, D / H] to [B, H, T, D / H]; ``hidden`` [U, T] is added, minus infinity or 0."""
    fit = (query @ key.transpose(2, 3)).div(key.shape[-1] ** 0.5) + hidden
    return fit.softmax(dim=-1) @ value


def _spread(of_events: Tensor, histories: Histories, heads: int) -> list[Tensor]:
    """[N, 3 D] → three times [B, H, T, D / H], each gathered at once: a number of an event, part and head picks its
    row, so nothing is split or transposed."""
    rows = of_events.view(-1, of_events.shape[-1] // (3 * heads))
    first = inside(histories.places)[:, None] * (3 * heads)  # [B, 1, T]
    head = torch.arange(heads, device=rows.device)[:, None]
    return [functional.embedding(first + (head + part * heads), rows) for part in range(3)]


def _heads(part: Tensor, heads: int) -> Tensor:
    if heads == 1:
        return part[:, None]
    return part.view(*part.shape[:2], heads, -1).transpose(1, 2)  # [B, T, D] → [B, H, T, D / H]
