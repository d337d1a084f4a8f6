"""When to leave a failing service alone, and when to try it again."""

from __future__ import annotations

import time
from collections.abc import Callable


class Breaker:
    """Opens at the first failure. Waits ``first`` seconds before the next attempt, and after each further failure twice
    as long, up to ``longest``. ``clock`` is monotonic."""

    def __init__(
        self, *, first: float = 0.1, longest: float = 5.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.first, self.longest, self.clock = first, longest, clock
        self.open = False
        self._wait = first
        self._again = 0.0

    def failed(self) -> None:
        self._wait = min(2 * self._wait, self.longest) if self.open else self.first
        self.open = True
        self._again = self.clock() + self._wait

    def succeeded(self) -> None:
        self.open = False

    @property
    def wait(self) -> float:
        """Seconds until the next attempt is due."""
        return max(0.0, self._again - self.clock())
