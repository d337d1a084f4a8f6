"""ALS against dense normal equations and planted low rank, and its fold-in against the exact solve."""

from pathlib import Path

import numpy as np
import pytest

from recsys_lab.data.log import InteractionLog
from recsys_lab.errors import ConfigError
from recsys_lab.export.encoder import export_encoder
from recsys_lab.models.als import ALS
from tests.models.conformance import ITEMS, TOUCHED, RecommenderConformance, ask, checkerboard


class TestALS(RecommenderConformance):
    model = ALS
    settings = {"factors": 2, "max_history": 12}


def planted(rank: int = 5, users: int = 400, items: int = 120, each: int = 20) -> tuple[InteractionLog, np.ndarray]:
    """Users touch ``each`` items in proportion to exp(4 x·y) of unit vectors; the affinities come along."""
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(size, rank)) for size in (users, items))
    affinity = (x / np.linalg.norm(x, axis=1)[:, None]) @ (y / np.linalg.norm(y, axis=1)[:, None]).T
    noisy = 4 * affinity + rng.gumbel(size=affinity.shape)  # the largest are a draw without replacement
    touched = np.argsort(-noisy, axis=1)[:, :each]
    log = InteractionLog.from_events(
        np.repeat(np.arange(users), each), touched.ravel(), np.arange(users * each), n_items=items
    )
    return log, affinity


@pytest.mark.parametrize(("counts", "frequency_scaling"), [("binary", 1.0), ("sum", 0.0)])
def test_a_half_step_solves_the_dense_normal_equations(counts: str, frequency_scaling: float) -> None:
    rng = np.random.default_rng(0)
    log = InteractionLog.from_events(rng.integers(0, 7, 40), rng.integers(0, 9, 40), np.arange(40), n_users=8)
    model = ALS(
        factors=3, counts=counts, frequency_scaling=frequency_scaling, regularization=0.3, unobserved_weight=0.2
    )
    matrix, others = log.matrix(model.counts), rng.normal(size=(9, 3)).astype(np.float32)
    found = model.solve(matrix, others)
    for user, row in enumerate(matrix.toarray().astype(np.float64)):
        ridge = 0.3 * ((row > 0).sum() + 0.2 * 9) ** frequency_scaling
        left = others.T @ np.diag(row + 0.2) @ others + ridge * np.eye(3)
        np.testing.assert_allclose(found[user], np.linalg.solve(left, others.T @ row), rtol=1e-4, atol=1e-6)


def test_the_fold_in_is_the_exact_solve() -> None:
    log, _ = planted()
    model = ALS(factors=8, iterations=5).fit(log)
    exact = model.solve(log.matrix(), model.vectors)
    np.testing.assert_allclose(model.encode(log.histories(0)), exact, rtol=1e-4, atol=1e-4)


def test_a_repeated_item_counts_once() -> None:
    model = ALS(factors=4).fit(checkerboard())
    once, often = model.encode(ask([[3, 5], [5, 3, 3, 5, 5]]))
    np.testing.assert_allclose(often, once, rtol=1e-5)


def test_the_gram_matrix_is_diagonal_and_rotation_changes_no_score() -> None:
    vectors = ALS(factors=4).fit(checkerboard()).item_vectors()
    gram = vectors.T @ vectors
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-5 * gram.max())


def test_untouched_items_are_no_candidates() -> None:
    model = ALS(factors=4).fit(checkerboard())
    assert model.candidates.tolist() == [True] * TOUCHED + [False] * (ITEMS - TOUCHED)
    assert not model.item_vectors()[TOUCHED:].any()


def test_planted_low_rank_is_found() -> None:
    """On untouched pairs the scores follow the planted affinities; popularity cannot."""
    log, affinity = planted()
    model = ALS(factors=8, iterations=10).fit(log)
    scores, untouched = model.score(log.histories(0)), log.matrix().toarray() == 0

    def agreement(guess: np.ndarray) -> float:
        return float(
            np.mean([np.corrcoef(g[u], a[u])[0, 1] for g, a, u in zip(guess, affinity, untouched, strict=True)])
        )

    assert agreement(scores) > 0.8
    assert abs(agreement(np.tile(model.popularity, (len(scores), 1)))) < 0.2


def test_the_exported_graph_answers_like_torch(tmp_path: Path) -> None:
    model = ALS(factors=4, max_history=6, solver_steps=2).fit(checkerboard())
    asked = ask([[0, 2, 4], [], [1, 1, 3], list(range(14)), [5]])
    assert export_encoder(model.query_module(), asked, model.max_history, tmp_path / "encoder.onnx") < 1e-5


def test_an_empty_history_is_a_zero_vector() -> None:
    model = ALS(factors=4, max_history=6, solver_steps=2).fit(checkerboard())
    assert not model.encode(ask([[], [1]]))[0].any()


@pytest.mark.parametrize("name", ["factors", "iterations", "regularization", "unobserved_weight", "solver_steps"])
def test_settings_that_cannot_work_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}: 0"):
        ALS(**{name: 0})
