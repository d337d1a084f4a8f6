from __future__ import annotations

import pytest

from serving_min.state.breaker import Breaker


def test_waits_twice_as_long_after_each_failure_and_begins_anew_after_a_success() -> None:
    now = 0.0
    breaker = Breaker(first=1, longest=5, clock=lambda: now)
    assert not breaker.open
    waits = []
    for _ in range(4):
        breaker.failed()
        waits.append(breaker.wait)
    assert (waits, breaker.open) == ([1, 2, 4, 5], True)
    now = 3.5
    assert breaker.wait == pytest.approx(1.5)
    now = 99
    assert breaker.wait == 0
    breaker.succeeded()
    assert not breaker.open
    breaker.failed()
    assert breaker.wait == 1
