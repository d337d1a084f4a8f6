"""Where a batch spends its time: who has done something for it says so, and the time since the last word was theirs."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Literal

Stage = Literal["understand", "encode", "retrieve", "rerank", "json"]


@dataclass
class Batch:
    """``laps``: each stage with ``time.monotonic`` at its end; the first began at ``began``. ``surfaces`` are those for
    which somebody has taken note of it: a batch is measured once for each, not once for each request."""

    began: float = field(default_factory=time.monotonic)
    laps: list[tuple[Stage, float]] = field(default_factory=list)
    surfaces: set[str] = field(default_factory=set)

    def by_stage(self) -> dict[Stage, float]:
        """Seconds in each stage; one may have been done several times."""
        seconds: dict[Stage, float] = {}
        before = self.began
        for stage, ended in self.laps:
            seconds[stage] = seconds.get(stage, 0.0) + ended - before
            before = ended
        return seconds


class _Here(threading.local):
    batch: Batch | None = None


_here = _Here()


def timed() -> Batch:
    """A new batch, which takes this thread's laps from now on."""
    _here.batch = batch = Batch()
    return batch


def lap(stage: Stage) -> None:
    """A stage is done. In a thread where nothing is ``timed`` this does nothing."""
    if _here.batch is not None:
        _here.batch.laps.append((stage, time.monotonic()))
