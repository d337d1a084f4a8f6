"""Networks that score the candidates of a question by their features, their ids and the history.

Cheng et al., "Wide & deep learning for recommender systems", DLRS 2016, §3; He et al., "Neural collaborative
filtering", WWW 2017, §3.4. Numbers enter as in the former's §4.1, by their place among the training rows; the steps are
ramps as in Gorishniy, Rubachev & Babenko, "On embeddings for numerical features", NeurIPS 2022, §3.2, so that the last
bit of a feature moves a score by no more than that.

Shapes: Q questions, C candidates, F features, S steps, L events, D factors.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from serving_min.manifest import NetworkInput

SPREAD = 0.05  # of a factor at the start
LOOKED_AT = 100_000  # rows that steps are made from


class RankingNetwork(nn.Module):
    """``forward`` takes what ``inputs`` names, of it ``rows`` [Q, C, F] float32, ``items`` [Q, C] int64 and
    ``history`` [Q, L] int64, both padded with -1, and gives scores [Q, C]; those of padding mean nothing."""

    inputs: ClassVar[tuple[NetworkInput, ...]]
    steps: Steps


class Steps(nn.Module):
    """[…, F] → […, F, S]: how much of each of S steps between quantiles a number has climbed, from 0 to 1."""

    low: Tensor
    rise: Tensor

    def __init__(self, features: int, steps: int) -> None:
        super().__init__()
        self.register_buffer("low", torch.zeros(features, steps))
        self.register_buffer("rise", torch.zeros(features, steps))

    def measure(self, rows: NDArray[np.float32]) -> None:
        """Take the quantiles of ``rows`` [R, F]; equal ones are one, and what steps are left are never climbed."""
        some = rows[:: max(1, len(rows) // LOOKED_AT)]
        quantiles = np.quantile(some, np.linspace(0, 1, self.low.shape[1] + 1), axis=0).T.astype(np.float32)
        for feature, found in enumerate(quantiles):
            edges = np.unique(found)
            self.low[feature, : len(edges) - 1] = torch.from_numpy(edges[:-1])
            self.rise[feature, : len(edges) - 1] = torch.from_numpy(1 / np.diff(edges))

    def forward(self, rows: Tensor) -> Tensor:
        return ((rows.unsqueeze(-1) - self.low) * self.rise).clamp(0, 1)


class Deep(nn.Module):
    """Two hidden layers, the second of half the width, and one number."""

    def __init__(self, inputs: int, width: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(inputs, width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(width, max(1, width // 2)),
            nn.ReLU(),
            nn.Linear(max(1, width // 2), 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.layers(x)).squeeze(-1)


class WideDeepNetwork(RankingNetwork):
    """Wide: a weight for each step of each feature, and for each item. Deep: the features and the item's factors."""

    inputs = ("rows", "items")

    def __init__(self, items: int, features: int, *, steps: int, factors: int, width: int, dropout: float) -> None:
        super().__init__()
        self.steps = Steps(features, steps)
        self.wide = nn.Linear(features * steps, 1)
        self.bias = nn.Embedding(items, 1)
        self.factors = nn.Embedding(items, factors)
        self.deep = Deep(features + factors, width, dropout)
        nn.init.zeros_(self.bias.weight)
        nn.init.normal_(self.factors.weight, std=SPREAD)

    def forward(self, rows: Tensor, items: Tensor) -> Tensor:
        climbed, codes = self.steps(rows), items.clamp(min=0)
        wide = self.wide(climbed.flatten(-2)).squeeze(-1) + self.bias(codes).squeeze(-1)
        deep = self.deep(torch.cat([climbed.mean(-1), self.factors(codes)], dim=-1))
        return torch.as_tensor(wide + deep)


class NCFNetwork(RankingNetwork):
    """NeuMF: products of the user's and the item's factors, beside a deep network of other factors of both; here with
    the candidate's features. No user has factors stored: they are the mean of those that the history's items bring."""

    inputs = ("rows", "items", "history")

    def __init__(self, items: int, features: int, *, steps: int, factors: int, width: int, dropout: float) -> None:
        super().__init__()
        self.steps = Steps(features, steps)
        self.said, self.shown = nn.Embedding(items, 2 * factors), nn.Embedding(items, 2 * factors)
        self.deep = Deep(features + 2 * factors, width, dropout)
        self.products = nn.Linear(factors, 1, bias=False)
        for table in (self.said, self.shown):
            nn.init.normal_(table.weight, std=SPREAD)

    def forward(self, rows: Tensor, items: Tensor, history: Tensor) -> Tensor:
        known = (history >= 0).unsqueeze(-1)
        said = self.said(history.clamp(min=0)) * known
        user = (said.sum(1) / known.sum(1).clamp(min=1)).unsqueeze(1)  # [Q, 1, 2D]
        item = self.shown(items.clamp(min=0))  # [Q, C, 2D]
        (mine, deeper), (its, its_deeper) = user.chunk(2, -1), item.chunk(2, -1)
        both = [self.steps(rows).mean(-1), deeper.expand_as(its_deeper), its_deeper]
        return torch.as_tensor(self.products(mine * its).squeeze(-1) + self.deep(torch.cat(both, dim=-1)))
