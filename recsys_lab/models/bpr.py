"""BPR: factors trained so that what a user touched outranks what they did not.

Rendle et al., "BPR: Bayesian personalized ranking from implicit feedback", UAI 2009, §4. A user has no
factors to store but is the mean of the history's item factors, as in Kabbur, Ning & Karypis, "FISM: factored
item similarity models for top-N recommender systems", KDD 2013, §4: an unseen history is then answered
just as training saw its own, but that an item counts there as often as it was touched.

Shapes: I items, D factors, P pairs of a user and an item touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.fold import Fold
from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError, ModelError
from recsys_lab.models.base import Arrays, VectorModel

if TYPE_CHECKING:
    import torch

    from recsys_lab.nn.history_mean import HistoryMean

Vectors = NDArray[np.float32]


class BPR(VectorModel):
    """Minimises -log σ(score of a touched item - score of a random one), where

        score(user, i) = y_i · mean of p_j over the user's other items j + b_i

    and ``regularization`` weighs the squares of all three, once per batch. Adam takes ``batch_users`` users
    at a time with all their pairs. Items nobody touched are no candidates. ``fit`` raises ModelError
    when no user touched two items.
    """

    shown: Vectors  # [I, D + 1] y and b
    said: Vectors  # [I, D] p

    def __init__(
        self,
        *,
        factors: int = 64,
        epochs: int = 30,
        learning_rate: float = 0.005,
        regularization: float = 1e-6,
        batch_users: int = 64,
        max_history: int = 500,
        seed: int = 42,
    ) -> None:
        for name, value in (
            ("factors", factors),
            ("epochs", epochs),
            ("learning_rate", learning_rate),
            ("batch_users", batch_users),
            ("max_history", max_history),
        ):
            if not value > 0:
                raise ConfigError(f"{name}: {value} cannot work; use a positive number")
        if not regularization >= 0:
            raise ConfigError(f"regularization: {regularization} would drive factors apart; use 0 or more")
        self.factors = factors
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.regularization = regularization
        self.batch_users = batch_users
        self.max_history = max_history
        self.seed = seed

    def item_vectors(self) -> Vectors:
        return self.shown

    def query_module(self) -> HistoryMean:
        from recsys_lab.nn.history_mean import HistoryMean

        return HistoryMean(self.said)

    def _fit(self, train: InteractionLog, catalogue: Catalogue, valid: Fold | None) -> None:
        import torch

        matrix = train.matrix()
        users = np.flatnonzero(np.diff(matrix.indptr) >= 2)
        if len(users) == 0:
            raise ModelError("bpr: no user touched two different items; use popular")
        self.candidates = train.item_counts() > 0
        touched = torch.from_numpy(np.flatnonzero(self.candidates))
        random = torch.Generator().manual_seed(self.seed)
        spread = self.factors**-0.5
        said, shown = (torch.randn(train.n_items, self.factors, generator=random) * spread for _ in range(2))
        bias = torch.zeros(train.n_items)
        parameters = [table.requires_grad_() for table in (said, shown, bias)]
        optimizer = torch.optim.Adam(parameters, lr=self.learning_rate)
        for _ in range(self.epochs):
            total = 0.0
            order = users[torch.randperm(len(users), generator=random).numpy()]
            for start in range(0, len(order), self.batch_users):
                batch = matrix[order[start : start + self.batch_users]]
                loss = self._loss(batch.indptr, batch.indices, said, shown, bias, touched, random)
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
                total += loss.item() * batch.shape[0] / len(users)
            self.history.append({"loss": total})
        self.said = said.detach().numpy()
        self.shown = torch.cat([shown, bias[:, None]], dim=1).detach().numpy()
        self.said[~self.candidates] = self.shown[~self.candidates] = 0

    def _loss(
        self,
        offsets: NDArray[np.int32],
        items: NDArray[np.int32],
        said: torch.Tensor,
        shown: torch.Tensor,
        bias: torch.Tensor,
        touched: torch.Tensor,
        random: torch.Generator,
    ) -> torch.Tensor:
        """The mean over the P pairs of some users, given as CSR, each against one random touched item."""
        import torch
        from torch.nn import functional

        lengths = torch.from_numpy(np.diff(offsets).astype(np.int64))
        own = torch.from_numpy(items.astype(np.int64))  # [P]
        other = touched[torch.randint(len(touched), own.shape, generator=random)]  # [P]
        rows = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
        mine = said[own]  # [P, D]
        totals = torch.zeros(len(lengths), self.factors).index_add(0, rows, mine)
        users = (totals[rows] - mine) / (lengths[rows, None] - 1)
        margin = (users * (shown[own] - shown[other])).sum(dim=1) + bias[own] - bias[other]
        squares = said.square().sum() + shown.square().sum() + bias.square().sum()
        return functional.softplus(-margin).mean() + self.regularization * squares

    def _arrays(self) -> Arrays:
        return {"shown": self.shown, "said": self.said}

    def _restore(self, arrays: Arrays) -> None:
        self.shown, self.said = arrays["shown"], arrays["said"]
