"""Files and columns that a format promises, under whichever of their known names the copy uses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from recsys_lab.data.sources.base import existing
from recsys_lab.data.sources.tables import files_at
from recsys_lab.errors import SchemaError, SourceError

PACKINGS = ("", ".gz", ".zst")


def unpacked_name(path: Path) -> str:
    """The file's name without the suffix of its compression."""
    return path.stem if path.suffix in PACKINGS else path.name


def file_named(path: str | Path | None, names: Sequence[str], *, argument: str = "data.path") -> Path:
    """The file at ``path``, or the first of ``names`` in that folder, packed or not.

    Raises SourceError that says which names it looked for.
    """
    found = existing(path, argument=argument)
    if found.is_file():
        return found
    file = file_beside(found, names)
    if file is None:
        raise SourceError(f"{argument}: the folder {found} has no {' or '.join(names)} (nor with .gz or .zst)")
    return file


def only_file(path: str | Path | None, suffix: str, *, argument: str = "data.path") -> Path:
    """The file at ``path``, or the one in that folder with the suffix, packed or not.

    Raises SourceError when there is none or a choice.
    """
    files = files_at(path, [suffix + packing for packing in PACKINGS], argument=argument)
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise SourceError(f"{argument}: {files[0].parent} holds {names}; give the path of one of them")
    return files[0]


def file_beside(folder: Path, names: Sequence[str]) -> Path | None:
    """The first of ``names`` in the folder, packed or not, if it is there."""
    candidates = (folder / (name + packing) for name in names for packing in PACKINGS)
    return next((file for file in candidates if file.is_file()), None)


def column_beside(found: Iterable[str], names: Sequence[str]) -> str | None:
    """The first of ``names`` among the columns found, if it is there."""
    present = set(found)
    return next((name for name in names if name in present), None)


def column_named(found: Iterable[str], names: Sequence[str], *, path: Path) -> str:
    """The first of ``names`` among the columns found. Raises SchemaError that lists both."""
    column = column_beside(found, names)
    if column is None:
        raise SchemaError(f"{path}: column {' or '.join(map(repr, names))} is missing; it has {', '.join(found)}")
    return column
