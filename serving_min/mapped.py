"""Files that are read where they lie, so that only what is asked for takes memory, and workers share it."""

from __future__ import annotations

import mmap
from pathlib import Path


def map_file(path: Path) -> mmap.mmap:
    """The file, for reading. It must not change while it is mapped: bundles never do."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def forget_pages(mapped: mmap.mmap) -> None:
    """What was looked at once, to be checked, need not stay in memory; what is asked for comes back by itself."""
    if hasattr(mmap, "MADV_DONTNEED"):  # not on every system
        mapped.madvise(mmap.MADV_DONTNEED)
