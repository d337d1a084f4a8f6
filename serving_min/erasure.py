"""The right to be forgotten, and to know what is kept: state and log of one user, with an account of who asked."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from serving_min.pseudonyms import pseudonym
from serving_min.sinks.eventlog import Removed
from serving_min.state.store import Touch
from serving_min.visitors import Visitors

log = logging.getLogger(__name__)

NO_SALT = "recsys audit"  # of a server without a salt: the audit log has no ids even then


class Kept(Struct, frozen=True):
    """All that is kept of a user: the latest events, and the lines of the log by stream."""

    user: str
    state: list[Touch]
    log: dict[str, list[dict[str, Any]]]


class Forgotten(Struct, frozen=True):
    """What is gone: events of the state, lines of the log. ``open`` segments of other processes may hold more; ask
    again when they are finished."""

    state: int
    log: int
    open: int


class Deed(Struct, frozen=True, omit_defaults=True):
    """A line of the audit log. ``by`` is the name of the key, ``user`` a keyed hash."""

    time: int
    by: str
    deed: Literal["export", "forget"]
    user: str
    done: Forgotten | None = None


class Erasure:
    """``audit`` is a file that lines are only ever added to; without one they go to the process's own log."""

    def __init__(
        self,
        visitors: Visitors,
        audit: Path | None = None,
        *,
        clock: Callable[[], float] = time.time,
        forgotten: Callable[[], None] = lambda: None,
    ) -> None:
        """``forgotten`` is called when a user is: what was derived from them must go too."""
        self.visitors, self.audit, self.clock, self.forgotten = visitors, audit, clock, forgotten

    async def export(self, user: str, by: str) -> Kept:
        kept = Kept(user, await self.visitors.touches(user), await self.visitors.log.find(self.visitors.alias(user)))
        await self._write(Deed(int(self.clock()), by, "export", self._hashed(user)))
        return kept

    async def forget(self, user: str, by: str) -> Forgotten:
        """Raises BusyError while the state store is away, before anything is removed."""
        state = await self.visitors.forget(user)
        self.forgotten()
        removed: Removed = await self.visitors.log.remove(self.visitors.alias(user))
        done = Forgotten(state, removed.lines, removed.open)
        await self._write(Deed(int(self.clock()), by, "forget", self._hashed(user), done))
        return done

    def _hashed(self, user: str) -> str:
        return hashed(user, self.visitors.salt)

    async def _write(self, deed: Deed) -> None:
        level = logging.WARNING if self.audit is None else logging.INFO
        log.log(level, "%s of user %s by %s", deed.deed, deed.user, deed.by)
        if self.audit is not None:
            await asyncio.to_thread(append, self.audit, deed)


def hashed(user: str, salt: str | None) -> str:
    """The user as the audit log has them."""
    return pseudonym(user, salt or NO_SALT)


def append(audit: Path, deed: Deed) -> None:
    """One more line, safe on disk."""
    descriptor = os.open(audit, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    try:
        os.write(descriptor, msgspec.json.encode(deed) + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
