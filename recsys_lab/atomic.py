"""Files and folders that are either whole or not there: nobody ever reads a half-written one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_being_written: set[Path] = set()  # by this process


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to; it takes the place of ``path`` when the block ends well.

    When the block raises, ``path`` stays as it was. Missing folders are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def whole_folder(final: Path) -> Iterator[Path]:
    """A folder to write into, which becomes ``final`` when the block ends without an error.

    Until then it is called ``.partial-<name>-<pid>`` beside ``final``: no reader looks at dotted names,
    and what a killed process left behind is removed by the next writer in that place.
    Raises FileExistsError when ``final`` is there already, or another process has made it meanwhile.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    _sweep(final.parent)
    if final.exists():
        raise FileExistsError(final)
    partial = final.parent / f".partial-{final.name}-{os.getpid()}"
    partial.mkdir()
    _being_written.add(partial.resolve())
    try:
        yield partial
        _flush(partial)
        _rename(partial, final)
    finally:
        _being_written.discard(partial.resolve())
        shutil.rmtree(partial, ignore_errors=True)


def _rename(partial: Path, final: Path) -> None:
    try:
        partial.rename(final)
    except OSError as error:  # a folder that is not empty is no FileExistsError to the system
        if final.exists():
            raise FileExistsError(final) from error
        raise


def _flush(folder: Path) -> None:
    """Make sure that the files are on disk before the name says they are."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _sweep(parent: Path) -> None:
    for leftover in parent.glob(".partial-*-*"):
        owner = leftover.name.rpartition("-")[2]
        if owner.isdigit() and not _is_written(leftover, int(owner)):
            shutil.rmtree(leftover, ignore_errors=True)


def _is_written(partial: Path, owner: int) -> bool:
    """Whether its process is at work. In a container that is started again, a dead one had the id of this one."""
    return partial.resolve() in _being_written if owner == os.getpid() else alive(owner)


def alive(pid: int) -> bool:
    """Whether a process of this machine has that id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
