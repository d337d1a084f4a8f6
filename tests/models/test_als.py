"""ALS against dense normal equations and planted low rank, and its fold-in against the exact solve."""

from dataclasses import replace
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


def exact(matrix: np.ndarray, others: np.ndarray, ridge: float, unobserved_weight: float, power: float) -> np.ndarray:
    """The normal equations of each row, spelled out."""
    solved = []
    for row in matrix.astype(np.float64):
        scaled = ridge * ((row > 0).sum() + unobserved_weight * others.any(axis=1).sum()) ** power
        left = others.T @ np.diag(row + unobserved_weight) @ others + scaled * np.eye(others.shape[1])
        solved.append(np.linalg.solve(left, others.T @ row))
    return np.array(solved)


@pytest.mark.parametrize(("counts", "frequency_scaling"), [("binary", 1.0), ("sum", 0.0)])
def test_a_converged_fit_solves_the_normal_equations(counts: str, frequency_scaling: float) -> None:
    """Items fitted to users who are fitted to items reproduce themselves."""
    rng = np.random.default_rng(0)
    log = InteractionLog.from_events(rng.integers(0, 7, 40), rng.integers(0, 9, 40), np.arange(40), n_users=8)
    model = ALS(
        factors=3, iterations=300, counts=counts, frequency_scaling=frequency_scaling, regularization=0.3,
        unobserved_weight=0.2,
    ).fit(log)  # fmt: skip
    matrix, setting = log.matrix(model.counts).toarray(), (0.3, 0.2, frequency_scaling)
    users = exact(matrix, model.vectors, *setting)
    np.testing.assert_allclose(exact(matrix.T, users, *setting), model.vectors, rtol=1e-3, atol=1e-4)


def test_few_steps_of_training_come_as_close_as_many() -> None:
    log, _ = planted()
    few, many = (ALS(factors=8, training_steps=steps).fit(log).score(log.histories(0)) for steps in (1, 20))
    assert np.corrcoef(few.ravel(), many.ravel())[0, 1] > 0.99


def test_the_fold_in_is_the_exact_solve() -> None:
    log = replace(planted()[0], n_items=200)  # 80 that nobody touched: they are no pairs
    model = ALS(factors=8, iterations=5).fit(log)
    found = model.encode(log.histories(0))
    solved = exact(log.matrix().toarray(), model.vectors, model.regularization, model.weight, 1.0)
    np.testing.assert_allclose(found, solved, rtol=1e-4, atol=1e-4)


def test_the_sparser_the_data_the_less_an_untouched_pair_weighs(tmp_path: Path) -> None:
    """300 of the 60 × 16 pairs of touched items are touched."""
    model = ALS(factors=4).fit(checkerboard())
    assert model.weight == pytest.approx(1.2 * np.sqrt(300 / (60 * 16)))
    model.save(tmp_path)
    assert ALS.load(tmp_path).weight == model.weight


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


@pytest.mark.parametrize(
    "name", ["factors", "iterations", "regularization", "unobserved_weight", "training_steps", "solver_steps"]
)
def test_settings_that_cannot_work_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}: 0"):
        ALS(**{name: 0})
