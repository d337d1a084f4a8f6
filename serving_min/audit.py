"""The account of whose data were shown or removed, and by whom."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec
from msgspec import Struct

from serving_min.errors import BusyError, StartError
from serving_min.pseudonyms import pseudonym

log = logging.getLogger(__name__)

NO_SALT = "recsys audit"  # of a server without a salt: ids cannot be read, but a list of ids can be tried


class Forgotten(Struct, frozen=True):
    """What is gone: events of the state, lines of the log. ``open`` segments of other processes may hold more; ask
    again when they are finished."""

    state: int
    log: int
    open: int


class Deed(Struct, frozen=True, omit_defaults=True):
    """A line of the account. ``by`` is the name of the key, ``user`` a keyed hash. Who is forgotten has two lines: one
    before anything is removed, and one that says what is ``done``."""

    time: int
    by: str
    deed: Literal["export", "forget"]
    user: str
    done: Forgotten | None = None


class Audit:
    """Lines are only ever added to the file at ``path``; without one there is none. Raises StartError where they cannot
    be."""

    def __init__(self, path: Path | None, salt: str | None) -> None:
        self.path, self.salt = path, salt
        if path is not None:
            try:
                _appendable(path).close()
            except OSError as error:
                raise StartError(
                    f"doors: audit: {path}: {error.strerror}; choose a file that can be written"
                ) from error

    def hashed(self, user: str) -> str:
        """The user as the account has them."""
        return pseudonym(user, self.salt or NO_SALT)

    def write(self, deed: Deed) -> None:
        """One more line, safe on disk. Raises BusyError when that cannot be done now."""
        if self.path is None:
            return
        try:
            with _appendable(self.path) as file:
                file.write(msgspec.json.encode(deed) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            log.error("audit: %s: %s", self.path, error.strerror)
            raise BusyError("the audit cannot be written, the server's log says why; ask again when it can") from error


def _appendable(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640), "ab")
