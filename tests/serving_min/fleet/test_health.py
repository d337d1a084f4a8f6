from __future__ import annotations

import pytest

from serving_min.fleet.health import Budget, Health


def complaint(health: Health) -> str | None:
    return health.complaint


def test_too_many_failures_within_the_window() -> None:
    health = Health(Budget(window=10, least=5, failed=0.2, slow=1.0))
    for _ in range(4):
        health.record(failed=True, seconds=0.0)
    assert complaint(health) is None, "four prove nothing"
    health.record(failed=False, seconds=0.0)
    assert complaint(health) == "4 of the latest 5 answers failed, the budget is 20.00%"
    for _ in range(7):
        health.record(failed=False, seconds=0.0)
    assert (len(health), health.failed, complaint(health)) == (10, 2, None), (
        "two have left the window; 2 of 10 may fail"
    )
    health.record(failed=True, seconds=0.0)
    assert health.failed == 2, "one came and one left"


def test_too_many_slow_answers() -> None:
    health = Health(Budget(window=4, least=4, slow=0.25, seconds=0.05))
    for seconds in (0.01, 0.05, 0.06, 0.04):
        health.record(failed=False, seconds=seconds)
    assert complaint(health) is None, "one of four, and .05 is not longer than .05"
    health.record(failed=False, seconds=9.0)
    assert complaint(health) == "2 of the latest 4 answers took longer than 50 ms, the budget is 25.00%"


def test_a_window_must_hold_enough() -> None:
    with pytest.raises(ValueError, match="`least` 50 is more than the window of 10 holds"):
        Budget(window=10)


def test_another_budget_judges_what_was_before_it_too() -> None:
    health = Health(Budget(window=10, least=5, seconds=0.05))
    for seconds in (0.5, 0.01, 0.02, 0.01, 0.03, 0.01):
        health.record(failed=False, seconds=seconds)
    assert complaint(health) is not None
    health.judge_by(Budget(window=5, least=5, seconds=0.05))
    assert (len(health), health.slow, complaint(health)) == (5, 0, None)
    health.judge_by(Budget(window=5, least=5, seconds=0.015))
    assert complaint(health) == "2 of the latest 5 answers took longer than 15 ms, the budget is 5.00%"
