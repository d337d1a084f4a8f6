"""The server's log as it lay at one moment, while the server goes on writing it."""

from __future__ import annotations

import tempfile
import weakref
from pathlib import Path

from recsys_lab.data.sources.base import existing
from recsys_lab.errors import SourceError
from serving_min.sinks.segments import OPEN, finished, whole_lines


class Snapshot:
    """The segments at ``path``, a folder or a store's URL, by stream, date and time. Raises SourceError for another.

    Finished ones in a folder are read where they are. Of unfinished ones there are copies, up to the last whole line,
    and so there are of all in a store; the copies go with this object.
    """

    def __init__(self, path: str | Path | None) -> None:
        self.path = path
        scratch = tempfile.TemporaryDirectory(prefix="serving-log-")
        weakref.finalize(self, scratch.cleanup)
        copies = Path(scratch.name)
        here = path.removeprefix("file://") if isinstance(path, str) else path
        if isinstance(here, str) and "://" in here:
            self.segments = _downloaded(here, copies)
        else:
            self.segments = _segments(existing(here), copies)

    def stream(self, name: str) -> list[Path]:
        return [segment for segment in self.segments if segment.parent.parent.name == name]


def _segments(folder: Path, copies: Path) -> list[Path]:
    """Each once, though it may be finished at any time: unfinished ones are looked for first, so it is found under one
    of its names, or under both."""
    found = [*folder.glob(f"*/date=*/.*{OPEN}"), *finished(folder)]
    named = {file.with_name(file.name.removeprefix(".").partition(".")[0]): file for file in found}
    kept = (_copied(file, copies) if file.suffix == OPEN else file for _, file in sorted(named.items()))
    return [file for file in kept if file is not None]


def _copied(file: Path, copies: Path) -> Path | None:
    """The whole lines of an unfinished segment, or the segment if it has been finished; None where it is gone."""
    final = file.with_name(file.name.removeprefix(".").removesuffix(OPEN))
    copy = copies.joinpath(*final.parts[-3:])
    copy.parent.mkdir(parents=True, exist_ok=True)
    try:
        copy.write_bytes(whole_lines(file))
    except FileNotFoundError:
        return next((path for path in (final, final.with_suffix(".parquet")) if path.exists()), None)
    return copy


def _downloaded(url: str, copies: Path) -> list[Path]:
    """What the server uploaded."""
    from serving_min.sinks.upload import Upload

    try:
        store = Upload(copies, url)
        for there in store.uploaded():
            read, _ = store.access(there)
            copy = copies.joinpath(*there.split("/")[-3:])
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(read())
    except Exception as error:  # each store has its own
        raise SourceError(f"data.path: {url} cannot be read: {error}") from error
    return [*finished(copies)]
