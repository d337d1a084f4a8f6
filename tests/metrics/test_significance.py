import numpy as np
import pytest

from recsys_lab.errors import ConfigError
from recsys_lab.metrics.significance import compare_with_leader, holm, mean_intervals, sign_flip_test


def test_holm_by_hand() -> None:
    """Sorted .005 .01 .03 .04 times 4 3 2 1 gives .02 .03 .06 .04, and the last may not fall."""
    adjusted = holm(np.array([0.01, 0.04, 0.03, 0.005]))
    np.testing.assert_allclose(adjusted, [0.03, 0.06, 0.06, 0.02])


def test_holm_stops_at_one() -> None:
    np.testing.assert_allclose(holm(np.array([0.9, 0.6])), [1, 1])


def test_interval_covers_the_true_mean_about_95_times_in_100() -> None:
    """400 experiments at once, as 400 measures: each has 200 draws of an exponential of mean 1."""
    values = np.random.default_rng(1).exponential(size=(200, 400))
    intervals = mean_intervals(values, samples=500)
    covered = ((intervals[:, 0] <= 1) & (intervals[:, 1] >= 1)).mean()
    assert 0.91 <= covered <= 0.97


def test_intervals_of_users_cover_where_those_of_queries_do_not() -> None:
    """40 users with 10 queries each that all score alike: the queries are no new evidence."""
    users = np.repeat(np.arange(40), 10)
    values = np.random.default_rng(2).normal(size=(40, 300))[users]
    shares = []
    for clusters in (users, None):
        low, high = mean_intervals(values, clusters=clusters, samples=400).T
        shares.append(((low <= 0) & (high >= 0)).mean())
    assert 0.9 <= shares[0] <= 0.98
    assert shares[1] < 0.6


def test_interval_is_seeded_and_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(3).random((50, 2))
    whole = mean_intervals(values, samples=100, seed=5)
    monkeypatch.setattr("recsys_lab.metrics.significance.DRAWS_PER_BLOCK", 70)
    np.testing.assert_allclose(mean_intervals(values, samples=100, seed=5), whole)
    assert not np.allclose(mean_intervals(values, samples=100, seed=6), whole)


def test_missing_values_count_nowhere() -> None:
    values = np.array([[0.5, 1.0], [0.5, np.nan], [0.5, np.nan], [0.5, np.nan]])
    np.testing.assert_allclose(mean_intervals(values, samples=200), [[0.5, 0.5], [1, 1]])
    assert np.isnan(mean_intervals(np.full((3, 1), np.nan))).all()


def test_p_is_uniform_where_nothing_differs() -> None:
    """600 comparisons of equals: a p below x must come about x of the time."""
    differences = np.random.default_rng(4).normal(size=(60, 600))
    p = sign_flip_test(differences, samples=400)
    for level in (0.05, 0.2, 0.5, 0.8):
        assert abs((p <= level).mean() - level) < 3 * np.sqrt(level * (1 - level) / 600) + 0.005


def test_p_by_hand() -> None:
    """Four times +1: of the 16 sign patterns two are as extreme, so p = 1/8."""
    assert sign_flip_test(np.ones(4), samples=20_000)[0] == pytest.approx(1 / 8, abs=0.01)
    assert sign_flip_test(np.zeros(4))[0] == 1


def test_many_queries_of_one_user_prove_little() -> None:
    differences = np.random.default_rng(5).normal(1, 0.1, 100)
    assert sign_flip_test(differences)[0] < 0.001
    assert sign_flip_test(differences, clusters=np.repeat([0, 1], 50))[0] == pytest.approx(0.5, abs=0.05)


def test_clusters_need_not_stand_together() -> None:
    rng = np.random.default_rng(6)
    values, users = rng.random((90, 1)), rng.integers(0, 20, 90)
    order = np.argsort(users, kind="stable")
    np.testing.assert_allclose(
        mean_intervals(values, clusters=users), mean_intervals(values[order], clusters=users[order])
    )


def test_compare_finds_the_leader_the_tie_and_the_loser() -> None:
    rng = np.random.default_rng(8)
    base = rng.random(400)
    values = {"loser": base - 0.2, "leader": base, "twin": base, "near": base - 0.004 + rng.normal(0, 0.05, 400)}
    found = {comparison.model: comparison for comparison in compare_with_leader(values)}
    assert list(found) == ["twin", "near", "loser"]
    assert {comparison.leader for comparison in found.values()} == {"leader"}
    assert found["twin"].tie
    assert found["twin"].p_adjusted == 1
    assert found["near"].tie
    assert not found["loser"].tie
    assert found["loser"].difference == pytest.approx(-0.2)
    assert found["loser"].ci95 == pytest.approx((-0.2, -0.2))


def test_without_bootstrap_a_difference_has_no_interval() -> None:
    (compared,) = compare_with_leader({"leader": np.ones(3), "loser": np.zeros(3)}, bootstrap=0)
    assert compared.ci95 is None
    assert compared.p > 0


def test_one_model_has_nobody_to_compare_with() -> None:
    assert compare_with_leader({"alone": np.ones(3)}) == []


@pytest.mark.parametrize("values", [{"a": np.ones(3), "b": np.ones(4)}, {"a": np.ones(0), "b": np.ones(0)}])
def test_different_queries_are_refused(values: dict[str, np.ndarray]) -> None:
    with pytest.raises(ConfigError, match="values: one per query and model"):
        compare_with_leader(values)
