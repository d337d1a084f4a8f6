"""iALS: matrix factorisation for implicit feedback by alternating least squares.

Hu, Koren & Volinsky, "Collaborative filtering for implicit feedback datasets", ICDM 2008, eqs. 4–5,
in the form of Rendle et al., "Revisiting the performance of iALS on item recommendation benchmarks",
RecSys 2022, eqs. 1–3. Both the training and the folding in of a new history are conjugate gradients, as
in Takács, Pilászy & Tikk, "Applications of the conjugate gradient method for implicit feedback CF",
RecSys 2011; see ``nn.alternating`` and ``nn.fold_in``.

Shapes: U users, I items, D factors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.fold import Fold
from recsys_lab.data.log import Counts, InteractionLog
from recsys_lab.errors import ConfigError
from recsys_lab.models.base import Arrays, VectorModel

if TYPE_CHECKING:
    from recsys_lab.nn.fold_in import FoldIn

Vectors = NDArray[np.float32]


class ALS(VectorModel):
    """Users x and items y that minimise, over the touched pairs S and over all pairs,

        Σ_S c (x·y - 1)² + ``unobserved_weight`` Σ_all (x·y)² + Σ λ_x ‖x‖² + Σ λ_y ‖y‖²

    with λ_x = ``regularization`` (touched + ``unobserved_weight`` I) ^ ``frequency_scaling``, and
    alike for items: at 1 the scaling of Rendle et al. (§4.2), at 0 plain ridge regression.
    ``unobserved_weight`` None means 1.2 × the square root of the share of pairs that are touched, since
    the sparser the data are, the less an untouched pair says. ``counts`` says what c is, as in
    ``InteractionLog.matrix``. A history is answered by solving for its own x, with c = 1 for each
    distinct item. Items nobody touched are no candidates.
    Each iteration improves all users, then all items, by ``training_steps`` of conjugate gradients.
    """

    vectors: Vectors  # [I, D], rotated so that their Gram matrix is diagonal
    weight: float  # of an untouched pair, as chosen

    def __init__(
        self,
        *,
        factors: int = 64,
        iterations: int = 15,
        regularization: float = 0.01,
        unobserved_weight: float | None = None,
        frequency_scaling: float = 1.0,
        counts: Counts = "binary",
        training_steps: int = 1,
        max_history: int = 500,
        solver_steps: int = 8,
        seed: int = 42,
    ) -> None:
        for name, value in (
            ("factors", factors),
            ("iterations", iterations),
            ("regularization", regularization),
            ("unobserved_weight", 1 if unobserved_weight is None else unobserved_weight),
            ("training_steps", training_steps),
            ("max_history", max_history),
            ("solver_steps", solver_steps),
        ):
            if not value > 0:
                raise ConfigError(f"{name}: {value} cannot work; use a positive number")
        self.factors = factors
        self.iterations = iterations
        self.regularization = regularization
        self.unobserved_weight = unobserved_weight
        self.frequency_scaling = frequency_scaling
        self.counts: Counts = counts
        self.training_steps = training_steps
        self.max_history = max_history
        self.solver_steps = solver_steps
        self.seed = seed

    def item_vectors(self) -> Vectors:
        return self.vectors

    def query_module(self) -> FoldIn:
        from recsys_lab.nn.fold_in import FoldIn

        return FoldIn(
            self.vectors,
            n_items=int(self.candidates.sum()),
            regularization=self.regularization,
            unobserved_weight=self.weight,
            frequency_scaling=self.frequency_scaling,
            steps=self.solver_steps,
        )

    def _fit(self, train: InteractionLog, catalogue: Catalogue, valid: Fold | None) -> None:
        import torch

        from recsys_lab.nn.alternating import HalfStep

        by_user = train.matrix(self.counts)
        by_user.eliminate_zeros()
        by_item = by_user.T.tocsr()
        touched = [np.diff(matrix.indptr) for matrix in (by_user, by_item)]
        active = [int((count > 0).sum()) for count in touched]
        density = by_user.nnz / (active[0] * active[1])
        self.weight = 1.2 * density**0.5 if self.unobserved_weight is None else self.unobserved_weight
        user_step = HalfStep(by_user, self._ridge(touched[0], active[1]))
        item_step = HalfStep(by_item, self._ridge(touched[1], active[0]))
        self.candidates = touched[1] > 0
        spread = 0.1 / np.sqrt(self.factors)
        drawn = np.random.default_rng(self.seed).normal(0, spread, (train.n_items, self.factors))
        items = torch.from_numpy((drawn * self.candidates[:, None]).astype(np.float32))
        users = torch.zeros(train.n_users, self.factors)
        scores = torch.zeros(by_user.nnz)
        for _ in range(self.iterations):
            user_step.improve(users, items, scores, self.weight, self.training_steps)
            scores = scores[item_step.order]
            item_step.improve(items, users, scores, self.weight, self.training_steps)
            scores = scores[user_step.order]
        # x·y does not change when both are rotated, and a diagonal Gram matrix makes folding in easy
        vectors = items.numpy()
        _, rotation = np.linalg.eigh(vectors.T @ vectors)
        self.vectors = vectors @ rotation

    def _ridge(self, touched: NDArray[np.int64], others: int) -> Vectors:
        """λ of each row that has ``touched`` [R] of ``others`` entries."""
        scaled = (touched + self.weight * others) ** self.frequency_scaling
        return (self.regularization * scaled).astype(np.float32)

    def _arrays(self) -> Arrays:
        return {"vectors": self.vectors, "weight": np.array([self.weight])}

    def _restore(self, arrays: Arrays) -> None:
        self.vectors, self.weight = arrays["vectors"], float(arrays["weight"][0])
