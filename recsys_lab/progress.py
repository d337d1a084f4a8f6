"""Progress on the terminal: always on stderr, so that stdout stays clean for results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from recsys_lab.terminal import console

if TYPE_CHECKING:
    from rich.progress import Progress

T = TypeVar("T")


def track(steps: Sequence[T], label: str) -> Iterator[T]:
    """The steps, one after the other, under a bar that names the current one. Silent unless on a terminal."""
    with _bar() as progress:
        task = progress.add_task(label, total=len(steps))
        for step in steps:
            progress.update(task, description=f"{label}: {step}")
            yield step
            progress.advance(task)


@contextmanager
def counted(total: int, label: str) -> Iterator[Callable[[int], None]]:
    """A bar over ``total`` pieces; call what it yields with how many more are done. Silent unless on a terminal."""
    with _bar() as progress:
        task = progress.add_task(label, total=total)
        yield lambda more: progress.advance(task, more)


def _bar() -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    screen = console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal)


@contextmanager
def status(label: str) -> Iterator[Callable[[str], None]]:
    """Work of unknown length under a spinner; call what it yields to name the current step."""
    from rich.text import Text

    screen = console(stderr=True)
    if not screen.is_terminal:
        yield lambda _: None
        return
    with screen.status(Text(label)) as spinner:
        yield lambda step: spinner.update(Text(f"{label}: {step}"))
