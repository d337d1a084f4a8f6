"""How fast a core is while something is measured on it.

Two tenants of one machine may share a physical core. The one then runs at little more than half its speed for as long
as the other is busy, and no clock shows it: the core is not lost, it is slow. A chore that is always the same work
does, when a process of its own does it now and then on the same core. What a server reaches says most while nobody else
has part of its core.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Generic, TypeVar

import numpy as np

Measured = TypeVar("Measured")
SHARED = 1.25  # times as long as the best: somebody else has part of the core
STEPS = 2_000  # of a chore: some tenths of a millisecond
PAUSE = 0.02  # seconds between two


def chore() -> None:
    """It reads and writes in a few hundred places."""
    places: dict[int, int] = {}
    for step in range(STEPS):
        places[step & 255] = places.get(step & 127, 0) + step


@dataclass(frozen=True)
class Round(Generic[Measured]):
    """What was measured, and the CPU time of a chore meanwhile, in the middle of all."""

    found: Measured
    chore_us: float


class Pace:
    """Of one ``core``; ``best`` is the shortest of the quickest tenths so far."""

    def __init__(self, core: int) -> None:
        self.core, self.best = core, float("inf")

    def during(self, measure: Callable[[], Measured]) -> Round[Measured]:
        """Measure while another process does chores, which costs the core about a hundredth of its time."""
        processes = multiprocessing.get_context("spawn")  # this process may have threads
        here, there = processes.Pipe()
        process = processes.Process(target=_do_chores, args=(self.core, there))
        process.start()
        here.recv()
        try:
            found = measure()
        finally:
            here.send("stop")
            quick, middle = np.percentile(here.recv(), [10, 50]).round().tolist()
            process.join()
        self.best = min(self.best, quick)
        return Round(found, middle)

    def ours(self, rounds: Sequence[Round[Measured]]) -> list[Round[Measured]]:
        """Those in which nobody else had much of the core, as far as all that was measured tells."""
        return [each for each in rounds if each.chore_us <= SHARED * self.best]

    def rounds(self, measure: Callable[[], Measured], *, wanted: int, most: int) -> list[Round[Measured]]:
        """Measure until it was done ``wanted`` times while the core was ours, or ``most`` times in all."""
        done: list[Round[Measured]] = []
        while len(done) < most and len(self.ours(done)) < wanted:
            done.append(self.during(measure))
        return done


def _do_chores(core: int, pipe: Connection) -> None:
    os.sched_setaffinity(0, {core})
    pipe.send("ready")
    taken: list[float] = []
    while not taken or not pipe.poll(PAUSE):
        began = time.thread_time()
        chore()
        taken.append((time.thread_time() - began) * 1e6)
    pipe.send(taken)
