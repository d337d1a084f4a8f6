"""The right to be forgotten, and to know what is kept: state and log of one user, with an account of who asked."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from serving_min.audit import Audit, Deed, Forgotten
from serving_min.sinks.eventlog import Removed
from serving_min.state.store import Touch
from serving_min.visitors import Visitors

log = logging.getLogger(__name__)


class Kept(Struct, frozen=True):
    """All that is kept of a user: the latest events, and the lines of the log by stream."""

    user: str
    state: list[Touch]
    log: dict[str, list[dict[str, Any]]]


class Erasure:
    """Each deed is noted in ``audit``, or nothing is done. Without a file for it, the process's own log tells of it."""

    def __init__(
        self,
        visitors: Visitors,
        audit: Path | None = None,
        *,
        clock: Callable[[], float] = time.time,
        forgotten: Callable[[], None] = lambda: None,
    ) -> None:
        """``forgotten`` is called when a user is: what was derived from them must go too. Raises StartError for a file
        that cannot be written."""
        self.visitors, self.clock, self.forgotten = visitors, clock, forgotten
        self.audit = Audit(audit, visitors.salt)

    async def export(self, user: str, by: str) -> Kept:
        """Raises BusyError while the audit cannot be written."""
        kept = Kept(user, await self.visitors.touches(user), await self.visitors.log.find(self.visitors.alias(user)))
        await self._begin(user, by, "export")
        return kept

    async def forget(self, user: str, by: str) -> Forgotten:
        """Raises BusyError while the state store is away or the audit cannot be written, before anything is removed."""
        deed = await self._begin(user, by, "forget")
        state = await self.visitors.forget(user)
        self.forgotten()
        removed: Removed = await self.visitors.log.remove(self.visitors.alias(user))
        done = Forgotten(state, removed.lines, removed.open)
        await asyncio.to_thread(self.audit.write, replace(deed, time=int(self.clock()), done=done))
        return done

    async def _begin(self, user: str, by: str, what: Literal["export", "forget"]) -> Deed:
        deed = Deed(int(self.clock()), by, what, self.audit.hashed(user))
        level = logging.WARNING if self.audit.path is None else logging.INFO
        log.log(level, "%s of user %s by %s", deed.deed, deed.user, deed.by)
        await asyncio.to_thread(self.audit.write, deed)
        return deed
