"""Self-attention over the history, in the order of its events.

Kang & McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018: causal blocks (section III-B),
tied item embeddings (III-D). Three departures, each found better since: normalisation before each
sub-layer instead of after it (Xiong et al. 2020), a softmax over the whole catalogue instead of one
negative per position (Klenitskiy & Vasilev, RecSys 2023), and positions counted from the end of the
history, so that the latest event always has the same one.

Shapes: B batch, T history length, L ``max_history``, D width, H heads, I items, N positions that ask.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from recsys_lab.data.fold import Fold
from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError
from recsys_lab.models.base import Arrays
from recsys_lab.models.neural import NeuralModel
from recsys_lab.nn.dropout import Dropout
from recsys_lab.nn.losses import full_softmax, sampled_softmax
from recsys_lab.nn.negatives import NegativeSampler
from recsys_lab.nn.query import QueryModule
from recsys_lab.nn.recipe import at_least, one_of, share
from recsys_lab.nn.sequences import WindowBatches, Windows, seen_before

Loss = Literal["softmax", "sampled_softmax"]


class Block(nn.Module):
    """Attention to the events so far, then a small network at each position; both are added to the input."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.merge = nn.Linear(width, width)
        self.before_mixing = nn.LayerNorm(width)
        self.mix = nn.Sequential(nn.Linear(width, width), nn.GELU(), Dropout(dropout), nn.Linear(width, width))
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, visible: Tensor, last_only: bool = False) -> Tensor:
        """[B, T, D] → [B, T, D], or [B, 1, D] for the last position alone; ``visible`` bool [B, 1, T, T]."""
        normed = self.before_attention(x)
        if last_only:  # keys and values of all positions, but one query
            x, asking, visible = x[:, -1:], normed[:, -1:], visible[:, :, -1:]
        else:
            asking = normed
        key, value = self.key_value(normed).chunk(2, dim=-1)
        attended = functional.scaled_dot_product_attention(
            self._split(self.query(asking)), self._split(key), self._split(value), attn_mask=visible
        )
        x = x + self.dropout(self.merge(attended.transpose(1, 2).flatten(2)))
        changed: Tensor = x + self.dropout(self.mix(self.before_mixing(x)))
        return changed

    def _split(self, part: Tensor) -> Tensor:
        return part.view(*part.shape[:2], self.heads, -1).transpose(1, 2)  # [B, T, D] → [B, H, T, D / H]


class SelfAttention(nn.Module):
    """Item codes [B, T] (left-padded with -1) → what to expect next at each position, [B, T, D]."""

    def __init__(
        self, n_items: int, n_events: int, *, max_history: int, width: int, blocks: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        self.max_history = max_history
        self.scale = width**0.5
        self.items = nn.Embedding(n_items, width)
        self.events = nn.Embedding(n_events, width) if n_events else None
        self.positions = nn.Embedding(max_history, width)  # row L - 1 belongs to the latest event
        self.dropout = Dropout(dropout)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        for module in self.modules():
            if isinstance(module, nn.Embedding | nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def forward(self, items: Tensor, events: Tensor | None = None, last_only: bool = False) -> Tensor:
        items = items[:, -self.max_history :]
        length = items.shape[1]
        places = torch.arange(length, device=items.device)
        real = items >= 0
        x = self.items(items.clamp(min=0)) * self.scale + self.positions(places + (self.max_history - length))
        if self.events is not None and events is not None:
            x = x + self.events(events[:, -self.max_history :].clamp(0, self.events.num_embeddings - 1))
        x = self.dropout(x)
        # to real events up to one's own position, and always to oneself: padding must have something to see
        causal = places <= places[:, None]
        visible = ((causal & real[:, None]) | (places == places[:, None]))[:, None]
        for block in self.blocks[:-1]:
            x = block(x, visible)
        expected: Tensor = self.norm(self.blocks[-1](x, visible, last_only))
        return expected


class NextItem(nn.Module):
    """The loss of a batch of windows: which item follows, at every position that asks."""

    def __init__(self, network: SelfAttention, sampler: NegativeSampler | None, negatives: int) -> None:
        super().__init__()
        self.network = network
        self.sampler = sampler
        self.negatives = negatives

    def forward(self, batch: Windows) -> Tensor:
        asked = batch.targets >= 0
        hidden, targets = self.network(batch.items, batch.events)[asked], batch.targets[asked]  # [N, D], [N]
        table = self.network.items.weight
        if self.sampler is None:
            return full_softmax(hidden, table, targets)
        drawn = self.sampler.draw(self.negatives)
        positive = (hidden * table[targets]).sum(-1)
        return sampled_softmax(positive, hidden @ table[drawn].T, self.sampler.log_q[drawn], targets[:, None] == drawn)


class LatestPosition(QueryModule):
    """The query: what to expect after the latest event, [B, D]."""

    def __init__(self, network: SelfAttention) -> None:
        super().__init__()
        self.network = network
        self.inputs = ("items",) if network.events is None else ("items", "events")

    def forward(self, items: Tensor, events: Tensor | None = None) -> Tensor:
        latest: Tensor = self.network(items, events, last_only=True)[:, 0]
        return latest


@dataclass(kw_only=True, eq=False)
class SASRec(NeuralModel):
    """The next item from the order of the last ``max_history`` events.

    ``loss`` is ``softmax`` (all items) or ``sampled_softmax`` (``negatives`` items, drawn by their
    counts to the power ``popularity_power`` and shared by the batch; for large catalogues).
    ``use_events`` tells views from purchases. With ``exclude_seen`` lists will leave out what the
    history holds, so such events are not asked for in training, and validation follows suit.
    Longer histories are cut into several windows; items without any event are no candidates.
    """

    width: int = 64
    blocks: int = 2
    heads: int = 1
    dropout: float = 0.2
    use_events: bool = False
    loss: Loss = "softmax"
    negatives: int = 256
    popularity_power: float = 0.75
    network: SelfAttention = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, width=self.width, blocks=self.blocks, heads=self.heads, negatives=self.negatives)
        if self.width % self.heads:
            raise ConfigError(f"heads: {self.heads} does not divide the width {self.width}")
        one_of(get_args(Loss), loss=self.loss)
        share(dropout=self.dropout)

    def item_vectors(self) -> NDArray[np.float32]:
        return self.network.items.weight.detach().numpy()

    def query_module(self) -> QueryModule:
        return LatestPosition(self.network)

    def _learn(self, log: InteractionLog, valid: Fold | None) -> None:
        counts = log.item_counts()
        self.candidates = counts > 0
        self.network = self._network(log.n_items, len(log.event_names) if self.use_events else 0)
        sampler = NegativeSampler(counts, self.popularity_power) if self.loss == "sampled_softmax" else None
        skip = seen_before(log) if self.exclude_seen else None
        batches = WindowBatches(log, self.max_history, self.batch_size, self.seed, skip)
        self._train(NextItem(self.network, sampler, self.negatives), batches, valid)
        with torch.no_grad():  # an item that nobody touched says nothing when it turns up in a history
            self.network.items.weight[torch.from_numpy(~self.candidates)] = 0

    def _network(self, n_items: int, n_events: int) -> SelfAttention:
        return SelfAttention(
            n_items,
            n_events,
            max_history=self.max_history,
            width=self.width,
            blocks=self.blocks,
            heads=self.heads,
            dropout=self.dropout,
        )

    def _build(self, arrays: Arrays) -> nn.Module:
        return self._network(len(arrays["items.weight"]), len(arrays.get("events.weight", ())))
