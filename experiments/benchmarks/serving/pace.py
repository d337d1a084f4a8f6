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
from statistics import median
from typing import Generic, Self, TypeVar

Measured = TypeVar("Measured")
SHARED = 1.25  # times as long as the best: somebody else has part of the core
STEPS = 2_000  # of a chore: some tenths of a millisecond
PAUSE = 0.02  # seconds between two
SPELL = 0.5  # seconds: if the core was ours so long, it may be for longer


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
    """Of one ``core``: another process does chores on it, which costs about a hundredth of its time, as long as this is
    used as a context manager. ``best`` is the shortest chore of all. Rounds wait for the core to be ours, ``patience``
    seconds in all."""

    def __init__(self, core: int, patience: float = 0.0) -> None:
        self.core, self.best = core, float("inf")
        self._spells = iter(range(int(patience / SPELL)))

    def __enter__(self) -> Self:
        processes = multiprocessing.get_context("spawn")  # this process may have threads
        self._pipe, there = processes.Pipe()
        self._process = processes.Process(target=_do_chores, args=(self.core, there), daemon=True)
        self._process.start()
        self._middle()
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.send("stop")
        self._process.join()

    def during(self, measure: Callable[[], Measured]) -> Round[Measured]:
        """Measure while chores are done."""
        self._middle()
        found = measure()
        return Round(found, self._middle())

    def ours(self, rounds: Sequence[Round[Measured]]) -> list[Round[Measured]]:
        """Those in which nobody else had much of the core, as far as all that was measured tells."""
        return [each for each in rounds if each.chore_us <= SHARED * self.best]

    def rounds(self, measure: Callable[[], Measured], *, wanted: int, most: int) -> list[Round[Measured]]:
        """Measure until it was done ``wanted`` times while the core was ours, or ``most`` times in all."""
        done: list[Round[Measured]] = []
        while len(done) < most and len(self.ours(done)) < wanted:
            for _ in self._spells:
                if self.ours([self.during(lambda: time.sleep(SPELL))]):
                    break
            done.append(self.during(measure))
        return done

    def _middle(self) -> float:
        """Of the chores since it was last asked for."""
        self._pipe.send("tell")
        taken: list[int] = self._pipe.recv()
        self.best = min(self.best, *taken)
        return median(taken)


def _do_chores(core: int, pipe: Connection) -> None:
    """At least one between two words."""
    os.sched_setaffinity(0, {core})
    taken: list[int] = []
    while True:
        began = time.thread_time()
        chore()
        taken.append(round((time.thread_time() - began) * 1e6))
        if pipe.poll(PAUSE):
            if pipe.recv() == "stop":
                return
            pipe.send(taken)
            taken = []
