"""Item vectors in the order of their events → what to expect next.

Shapes: B batch, T history length, L ``max_history``, D width, N events without padding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recsys_lab.nn.attention import Each, Latest, Looks, Padded
from recsys_lab.nn.blocks import BLOCKS
from recsys_lab.nn.dropout import Dropout
from recsys_lab.nn.histories import Histories

SCHEMES = ("normal", "xavier")
GAPS = 32  # powers of two, in seconds: the last is 68 years


class SequenceEncoder(nn.Module):
    """Self-attention over a history, [B, T, D] → [B, T, D]; positions are counted from the end.

    ``n_events`` kinds of events are told apart (0: not at all), and with ``use_gaps`` how long after each
    event the next one came, or the question. ``feed_forward`` is the inner width of a block as a multiple of D.
    """

    def __init__(
        self,
        *,
        max_history: int,
        width: int,
        blocks: int,
        heads: int,
        dropout: float,
        block: str = "prenorm",
        feed_forward: float = 1.0,
        n_events: int = 0,
        use_gaps: bool = False,
    ) -> None:
        super().__init__()
        self.max_history = max_history
        closed = BLOCKS[block].closed
        self.scale = 1.0 if closed else width**0.5
        self.events = nn.Embedding(n_events, width) if n_events else None
        self.gaps = nn.Embedding(GAPS, width) if use_gaps else None
        self.positions = nn.Embedding(max_history, width)  # row L - 1 belongs to the latest event
        self.before: nn.Module = nn.LayerNorm(width) if closed else nn.Identity()
        self.dropout = Dropout(dropout)
        hidden = round(feed_forward * width)
        self.blocks = nn.ModuleList(BLOCKS[block](width, heads, hidden, dropout) for _ in range(blocks))
        self.norm: nn.Module = nn.Identity() if closed else nn.LayerNorm(width)

    def forward(
        self,
        items: Tensor,
        real: Tensor,
        events: Tensor | None = None,
        gaps: Tensor | None = None,
        last_only: bool = False,
    ) -> Tensor:
        """``items`` [B, T, D] vectors, left-padded; ``real`` [B, T] where no padding is; ``events`` [B, T] codes;
        ``gaps`` [B, T] seconds. T is at most L. With ``last_only`` [B, 1, D] for the latest event alone."""
        length = items.shape[1]
        places = torch.arange(length, device=items.device)
        # to real events up to one's own position, and always to oneself: padding must have something to see
        causal = places <= places[:, None]
        visible = ((causal & real[:, None]) | (places == places[:, None]))[:, None]
        x = self._entered(items, places + (self.max_history - length), events, gaps)
        return self._through(x, Padded(visible), Padded(visible, last_only))

    def latest(
        self, items: Tensor, histories: Histories, events: Tensor | None = None, gaps: Tensor | None = None
    ) -> Tensor:
        """The same for the latest event of each history, [B, D], without work on padding: ``items`` [N, D],
        ``events`` [N], ``gaps`` [N]."""
        x = self._entered(items, (self.max_history - 1) - histories.newer, events, gaps)
        return self._through(x, Each(histories), Latest(histories))

    def _entered(self, items: Tensor, positions: Tensor, events: Tensor | None, gaps: Tensor | None) -> Tensor:
        x = items * self.scale + self.positions(positions)
        if self.events is not None and events is not None:
            x = x + self.events(events.clamp(0, self.events.num_embeddings - 1))
        if self.gaps is not None and gaps is not None:
            x = x + self.gaps(doublings(gaps))
        entered: Tensor = self.dropout(self.before(x))
        return entered

    def _through(self, x: Tensor, looks: Looks, last: Looks) -> Tensor:
        for block in self.blocks[:-1]:
            x = block(x, looks)
        expected: Tensor = self.norm(self.blocks[-1](x, last))
        return expected


def doublings(seconds: Tensor) -> Tensor:
    """How often 1 second must be doubled to pass ``seconds``, below ``GAPS``, shaped like it.

    Comparisons, not a logarithm: its last bit differs between libraries.
    """
    steps = torch.exp2(torch.arange(GAPS - 1, device=seconds.device, dtype=torch.float32))
    return (seconds[..., None] >= steps).sum(-1)


def gaps_of(ages: Tensor) -> Tensor:
    """Seconds from each event to the next one, or to the question, of left-padded ``ages`` [B, T]."""
    later = torch.cat([ages[:, 1:], torch.zeros_like(ages[:, :1])], dim=1)
    return (ages - later).clamp(min=0)


def packed_gaps(ages: Tensor, newer: Tensor) -> Tensor:
    """The same of ``ages`` [N] of histories that lie one behind the other."""
    later = torch.cat([ages[1:], torch.zeros_like(ages[:1])])
    return (ages - torch.where(newer > 0, later, torch.zeros_like(later))).clamp(min=0)


def initialise(network: nn.Module, scheme: str) -> None:
    """Set embeddings and linear layers anew: ``normal`` with deviation .02, or ``xavier`` (Glorot & Bengio 2010)."""
    for module in network.modules():
        if isinstance(module, nn.Embedding | nn.Linear):
            if scheme == "xavier":
                nn.init.xavier_normal_(module.weight)
            else:
                nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            with torch.no_grad():
                module.weight[module.padding_idx] = 0
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
