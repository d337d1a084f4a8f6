"""The layers of a sequence encoder, each a mixing of positions and then of features.

A block maps events to those of them who ask, by ``looks`` (``nn/attention.py``): all, or the last ones alone, which
is all that serving needs of the last layer. A ``closed`` block wants its input normalised and gives its output so;
the stack of others is normalised once, at its end.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys_lab.nn.attention import Attention, Looks
from recsys_lab.nn.dropout import Dropout


class SwiGLU(nn.Module):
    """Shazeer, "GLU variants improve transformer", 2020, equation 6: one half gates the other."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.spread = nn.Linear(width, 2 * hidden)
        self.dropout = Dropout(dropout)
        self.gather = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.spread(x).chunk(2, dim=-1)
        gathered: Tensor = self.gather(self.dropout(functional.silu(gate) * value))
        return gathered


def feed_forward(width: int, hidden: int, activation: nn.Module, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), activation, Dropout(dropout), nn.Linear(hidden, width))


class NormsBefore(nn.Module):
    """The layers of a block that normalises what goes into attention and what goes into mixing."""

    closed = False
    activation: type[nn.Module] = nn.GELU

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.before_mixing = nn.LayerNorm(width)
        self.mix = feed_forward(width, hidden, self.activation(), dropout)
        self.dropout = Dropout(dropout)


class PreNorm(NormsBefore):
    """Each sub-layer sees its input normalised and adds to it as it was (Xiong et al., ICML 2020)."""

    def forward(self, x: Tensor, looks: Looks) -> Tensor:
        normed = self.before_attention(x)
        x = looks.asking(x) + self.dropout(self.attention(looks.asking(normed), normed, looks))
        mixed: Tensor = x + self.dropout(self.mix(self.before_mixing(x)))
        return mixed


class PostNorm(nn.Module):
    """Each sub-layer's sum is normalised (Vaswani et al., NeurIPS 2017), so no sub-layer can be drowned by what it is
    added to. What comes in should be normalised, and what goes out is. Dropout reaches the attention weights too.
    """

    closed = True

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(width, heads, dropout)
        self.after_attention = nn.LayerNorm(width)
        self.mix = feed_forward(width, hidden, nn.GELU(), 0.0)
        self.after_mixing = nn.LayerNorm(width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, looks: Looks) -> Tensor:
        x = self.after_attention(looks.asking(x) + self.dropout(self.attention(looks.asking(x), x, looks)))
        mixed: Tensor = self.after_mixing(x + self.dropout(self.mix(x)))
        return mixed


class Original(NormsBefore):
    """As in the code published with SASRec: the query alone is normalised, and what is added to is normalised too."""

    activation = nn.ReLU

    def forward(self, x: Tensor, looks: Looks) -> Tensor:
        asking = self.before_attention(looks.asking(x))
        x = self.before_mixing(asking + self.dropout(self.attention(asking, x, looks)))
        mixed: Tensor = x + self.dropout(self.mix(x))
        return mixed


class LiGR(nn.Module):
    """A learned gate decides, feature by feature, how much of each sub-layer is added.

    Borisyuk et al., "From Features to Transformers" (LiGR), 2025; with SwiGLU as the block of eSASRec,
    Tikhonovich et al., RecSys 2025.
    """

    closed = False

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.attention_gate = nn.Linear(width, width)
        self.before_mixing = nn.LayerNorm(width)
        self.mix = SwiGLU(width, hidden, dropout)
        self.mixing_gate = nn.Linear(width, width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, looks: Looks) -> Tensor:
        normed = self.before_attention(x)
        x = looks.asking(x)
        found = self.attention(looks.asking(normed), normed, looks)
        x = x + torch.sigmoid(self.attention_gate(x)) * self.dropout(found)
        mixed: Tensor = x + torch.sigmoid(self.mixing_gate(x)) * self.dropout(self.mix(self.before_mixing(x)))
        return mixed


BLOCKS: dict[str, type[PreNorm] | type[PostNorm] | type[Original] | type[LiGR]] = {
    "prenorm": PreNorm,
    "postnorm": PostNorm,
    "original": Original,
    "ligr": LiGR,
}
