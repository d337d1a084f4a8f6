"""iALS: matrix factorisation for implicit feedback by alternating least squares.

Hu, Koren & Volinsky, "Collaborative filtering for implicit feedback datasets", ICDM 2008, eqs. 4–5,
in the form of Rendle et al., "Revisiting the performance of iALS on item recommendation benchmarks",
RecSys 2022, eqs. 1–3. A new history is folded in by conjugate gradients, as in Takács, Pilászy &
Tikk, "Applications of the conjugate gradient method for implicit feedback CF", RecSys 2011.

Shapes: U users, I items, D factors, N items of a history, B batch, T padded length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.fold import Fold
from recsys_lab.data.log import Counts, InteractionLog
from recsys_lab.errors import ConfigError
from recsys_lab.models.base import Arrays, VectorModel

if TYPE_CHECKING:
    from recsys_lab.nn.fold_in import FoldIn

Vectors = NDArray[np.float32]
FLOATS_PER_BLOCK = 1 << 20  # gathered vectors at a time: small enough for the cache


class ALS(VectorModel):
    """Users x and items y that minimise, over the touched pairs S and over all pairs,

        Σ_S c (x·y - 1)² + ``unobserved_weight`` Σ_all (x·y)² + Σ λ_x ‖x‖² + Σ λ_y ‖y‖²

    with λ_x = ``regularization`` (touched + ``unobserved_weight`` I) ^ ``frequency_scaling``, and
    alike for items: at 1 the scaling of Rendle et al. (§4.2), at 0 plain ridge regression.
    ``counts`` says what c is, as in ``InteractionLog.matrix``. A history is answered by solving
    for its own x, with c = 1 for each distinct item. Items nobody touched are no candidates.
    """

    vectors: Vectors  # [I, D], rotated so that their Gram matrix is diagonal

    def __init__(
        self,
        *,
        factors: int = 64,
        iterations: int = 15,
        regularization: float = 0.01,
        unobserved_weight: float = 0.3,
        frequency_scaling: float = 1.0,
        counts: Counts = "binary",
        max_history: int = 500,
        solver_steps: int = 8,
        seed: int = 42,
    ) -> None:
        for name, value in (
            ("factors", factors),
            ("iterations", iterations),
            ("regularization", regularization),
            ("unobserved_weight", unobserved_weight),
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
            unobserved_weight=self.unobserved_weight,
            frequency_scaling=self.frequency_scaling,
            max_history=self.max_history,
            steps=self.solver_steps,
        )

    def _fit(self, train: InteractionLog, catalogue: Catalogue, valid: Fold | None) -> None:
        by_user = train.matrix(self.counts)
        by_user.eliminate_zeros()
        by_item = by_user.T.tocsr()
        self.candidates = np.diff(by_item.indptr) > 0
        spread = 0.1 / np.sqrt(self.factors)
        items = np.random.default_rng(self.seed).normal(0, spread, (train.n_items, self.factors)).astype(np.float32)
        items[~self.candidates] = 0
        for _ in range(self.iterations):
            users = self.solve(by_user, items)
            items = self.solve(by_item, users)
        # x·y does not change when both are rotated, and a diagonal Gram matrix makes folding in easy
        _, rotation = np.linalg.eigh(items.T @ items)
        self.vectors = items @ rotation

    def solve(self, matrix: sparse.csr_array, others: Vectors) -> Vectors:
        """The best vector for each row of ``matrix`` given those of its columns, exactly.

        Rows of the same length are solved together, so that nothing is padded; a row without
        entries gets zeros.
        """
        lengths = np.diff(matrix.indptr)
        touched = int(others.any(axis=1).sum())
        base = self.unobserved_weight * (others.T @ others)
        solved = np.zeros((matrix.shape[0], self.factors), np.float32)
        for length in np.unique(lengths[lengths > 0]):
            same = np.flatnonzero(lengths == length)
            ridge = self.regularization * (length + self.unobserved_weight * touched) ** self.frequency_scaling
            left = base + ridge * np.eye(self.factors, dtype=np.float32)
            for rows in np.array_split(same, -(-len(same) * length * self.factors // FLOATS_PER_BLOCK)):
                entries = matrix.indptr[rows][:, None] + np.arange(length)  # [rows, N]
                seen = others[matrix.indices[entries]]  # [rows, N, D]
                weighted = seen * matrix.data[entries][:, :, None]
                solved[rows] = np.linalg.solve(
                    left + weighted.transpose(0, 2, 1) @ seen, weighted.sum(axis=1)[:, :, None]
                )[:, :, 0]
        return solved

    def _arrays(self) -> Arrays:
        return {"vectors": self.vectors}

    def _restore(self, arrays: Arrays) -> None:
        self.vectors = arrays["vectors"]
