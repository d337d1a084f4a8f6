"""A history's items as one vector: their mean by attention, or the end of a sequence of blocks.

Both look up what they keep of each item (``of_items``), which holds the item's vector in its first D numbers and is
computed once for all histories.
Shapes: B batch, T history length, N events without padding, L ``max_history``, D width, K what is kept.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys_lab.nn.encoder import SequenceEncoder, gaps_of, packed_gaps
from recsys_lab.nn.histories import Histories, inside, log1p


class HistoryTower(nn.Module):
    """Histories of at most L events → [B, D], zeros for an empty one."""

    max_history: int

    def of_items(self, known: Tensor) -> Tensor:
        """What is kept of items [..., D] → [..., K]."""
        return known

    def forward(self, kept: Tensor, real: Tensor, events: Tensor, ages: Tensor) -> Tensor:
        """``kept`` [B, T, K], ``real`` [B, T] where no padding is, ``events`` [B, T] codes, ``ages`` [B, T] seconds."""
        raise NotImplementedError

    def packed(self, kept: Tensor, histories: Histories, events: Tensor, ages: Tensor) -> Tensor:
        """The same of ``kept`` [N, K], ``events`` [N] and ``ages`` [N]; no history is empty."""
        raise NotImplementedError


class AttentionMean(HistoryTower):
    """Attention sees the item, the kind of event, its age and its place counted from the end."""

    def __init__(self, *, max_history: int, width: int, n_events: int) -> None:
        super().__init__()
        self.max_history = max_history
        self.attend = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1))
        self.event_weight = nn.Embedding(n_events, 1)
        self.place_weight = nn.Embedding(max_history, 1)  # row L - 1 belongs to the latest event
        self.age_weight = nn.Parameter(torch.tensor(-0.1))
        for table in (self.event_weight, self.place_weight):
            nn.init.zeros_(table.weight)

    def of_items(self, known: Tensor) -> Tensor:
        return torch.cat([known, self.attend(known)], dim=-1)

    def forward(self, kept: Tensor, real: Tensor, events: Tensor, ages: Tensor) -> Tensor:
        length = kept.shape[1]
        places = torch.arange(length, device=kept.device) + (self.max_history - length)
        return self._mean(self._attention(kept, places, events, torch.log1p(ages)), kept, real)

    def packed(self, kept: Tensor, histories: Histories, events: Tensor, ages: Tensor) -> Tensor:
        attention = self._attention(kept, (self.max_history - 1) - histories.newer, events, log1p(ages))  # [N]
        at = inside(histories.places)
        return self._mean(attention[at], functional.embedding(at, kept), histories.places >= 0)

    def _attention(self, kept: Tensor, places: Tensor, events: Tensor, log_ages: Tensor) -> Tensor:
        """How much each event counts; its place is L - 1 for the latest."""
        attention = kept[..., -1] + self.place_weight(places)[..., 0] + self.age_weight * log_ages
        counts: Tensor = attention + self.event_weight(events.clamp(0, self.event_weight.num_embeddings - 1))[..., 0]
        return counts

    def _mean(self, attention: Tensor, kept: Tensor, real: Tensor) -> Tensor:
        shares = attention.masked_fill(~real, -1e9).softmax(dim=1) * real
        pooled: Tensor = (shares[:, None] @ kept[..., :-1]).squeeze(1)
        return pooled


class EncodedSequence(HistoryTower):
    """Self-attention over the order of the events, as SASRec's (``nn/encoder.py``), with kinds of events and gaps."""

    def __init__(self, *, max_history: int, width: int, n_events: int, blocks: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.max_history = max_history
        self.encoder = SequenceEncoder(
            max_history=max_history,
            width=width,
            blocks=blocks,
            block="postnorm",
            heads=heads,
            dropout=dropout,
            n_events=n_events,
            use_gaps=True,
        )

    def forward(self, kept: Tensor, real: Tensor, events: Tensor, ages: Tensor) -> Tensor:
        latest: Tensor = self.encoder(kept, real, events, gaps_of(ages), last_only=True)[:, 0]
        return latest * real.any(dim=1, keepdim=True)

    def packed(self, kept: Tensor, histories: Histories, events: Tensor, ages: Tensor) -> Tensor:
        return self.encoder.latest(kept, histories, events, packed_gaps(ages, histories.newer))
