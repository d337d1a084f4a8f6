"""Whether a bundle keeps within its budget of failures and of time, judged by its latest answers."""

from __future__ import annotations

from collections import deque
from typing import Annotated

from msgspec import Meta, Struct

Positive = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(ge=0, le=1)]


class Budget(Struct, frozen=True, forbid_unknown_fields=True):
    """Of the latest ``window`` answers at most the share ``failed`` may fail and at most the share ``slow`` take longer
    than ``seconds``. Nothing is judged before there are ``least``."""

    window: Positive = 1_000
    least: Positive = 50
    failed: Share = 0.02
    slow: Share = 0.05
    seconds: Annotated[float, Meta(gt=0)] = 0.05

    def __post_init__(self) -> None:
        if self.least > self.window:
            raise ValueError(f"`least` {self.least} is more than the window of {self.window} holds")


class Health:
    """Counts within a window that slides by answers, not by the clock: silence proves nothing."""

    def __init__(self, budget: Budget | None = None) -> None:
        self.budget = budget or Budget()
        self.failed = self.slow = 0
        self._latest: deque[tuple[bool, float]] = deque()

    def __len__(self) -> int:
        return len(self._latest)

    def record(self, *, failed: bool, seconds: float) -> None:
        self._latest.append((failed, seconds))
        self.failed += failed
        self.slow += seconds > self.budget.seconds
        if len(self._latest) > self.budget.window:
            failed, seconds = self._latest.popleft()
            self.failed -= failed
            self.slow -= seconds > self.budget.seconds

    def judge_by(self, budget: Budget) -> None:
        """Another budget, for what is known already too."""
        known, self._latest = self._latest, deque()
        self.budget, self.failed, self.slow = budget, 0, 0
        for failed, seconds in known:
            self.record(failed=failed, seconds=seconds)

    @property
    def complaint(self) -> str | None:
        """What breaks the budget, if anything."""
        budget, seen = self.budget, len(self)
        if seen < budget.least:
            return None
        if self.failed > budget.failed * seen:
            return f"{self.failed} of the latest {seen} answers failed, the budget is {budget.failed:.2%}"
        if self.slow > budget.slow * seen:
            over = f"took longer than {budget.seconds * 1_000:g} ms"
            return f"{self.slow} of the latest {seen} answers {over}, the budget is {budget.slow:.2%}"
        return None
