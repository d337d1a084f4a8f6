"""How much one key may ask."""

from __future__ import annotations

import time
from collections.abc import Callable


class Bucket:
    """A token bucket: ``rate`` tokens drop in each second, at most ``burst`` are in it. ``clock`` is monotonic."""

    def __init__(self, rate: float, burst: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self.burst, self.clock = rate, burst, clock
        self._tokens, self._at = burst, clock()

    def take(self) -> float:
        """0 where there was a token; else the seconds until there is one."""
        now = self.clock()
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        if self._tokens < 1:
            return (1 - self._tokens) / self.rate
        self._tokens -= 1
        return 0.0
