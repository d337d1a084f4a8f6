"""What the server learns while it runs: its users' latest events, and the log of all that happens."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Sequence

from msgspec.structs import replace

from serving_min.bundle import Bundle
from serving_min.engine import Served
from serving_min.events import Batch, Receipt, Reported
from serving_min.messages import Request
from serving_min.pseudonyms import pseudonym
from serving_min.sinks.eventlog import EventLog
from serving_min.sinks.records import AnswerLine, Candidate, EventLine, Shown
from serving_min.state.memory import Expiring, MemoryStore
from serving_min.state.recall import Remembered, remember
from serving_min.state.store import WINDOW, Arrival, StateStore, Touch
from serving_min.texts import Texts

LOGGED = 100_000  # latest ids that are not logged again: 27 MB


class Visitors:
    """``salt`` turns user ids into pseudonyms before they reach the store or the log."""

    def __init__(
        self,
        store: StateStore | None = None,
        log: EventLog | None = None,
        *,
        salt: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store: StateStore = store or MemoryStore(clock=clock)
        self.log = log or EventLog()
        self.salt, self.clock = salt, clock
        self._logged: Expiring[bool] = Expiring(LOGGED, WINDOW, clock)

    async def start(self) -> None:
        await self.store.start()
        self.log.start()

    async def stop(self) -> None:
        """What was accepted is written."""
        await self.store.stop()
        await self.log.stop()

    def alias(self, user: str) -> str:
        """The name under which a user is known to store and log."""
        return pseudonym(user, self.salt)

    async def report(self, batch: Batch, known: Container[str]) -> Receipt:
        """Take in events; ``known`` are the items of the bundle.

        Those that came before change nothing, but are logged unless this process did so: who took them in may have died
        before it had.
        """
        now = int(self.clock())
        arrivals = [self._arrival(event, now) for event in batch.events]
        fresh = await self.store.add(arrivals)
        for event, arrival, new in zip(batch.events, arrivals, fresh, strict=True):
            if self.log.wanted and (new or not self._logged.get(event.id)):
                self.log.write(_line(event, arrival.user, now))
                self._logged.put(event.id, True)
        return Receipt(
            accepted=sum(fresh),
            duplicates=len(fresh) - sum(fresh),
            unknown_items=sum(event.item not in known for event in batch.events),
        )

    def line(self, served: Served, ids: Texts) -> AnswerLine | None:
        """What the log is to have of an answer, if anybody reads it; whose it is stays open."""
        return _answer_line(served, ids) if self.log.wanted else None

    def was_answered(self, line: AnswerLine | None, request: Request) -> None:
        """Write down what was shown, and to whom."""
        if line is not None:
            user = "" if request.user_id is None else self.alias(request.user_id)
            self.log.write(replace(line, request_id=request.request_id or "", user=user))

    async def remember(self, request: Request, bundle: Bundle, surface: str) -> Remembered:
        """The request, with what the server saw of its user."""
        touches = [] if request.user_id is None else await self.touches(request.user_id)
        return self._with(touches, request, bundle, surface)

    def at_once(self, request: Request, bundle: Bundle, surface: str) -> Remembered | None:
        """The same where nobody has to be waited for; None where somebody has."""
        touches = [] if request.user_id is None else self.store.at_once(self.alias(request.user_id))
        return None if touches is None else self._with(touches, request, bundle, surface)

    async def touches(self, user: str) -> list[Touch]:
        """The user's latest events, oldest first."""
        return await self.store.read(self.alias(user))

    async def forget(self, user: str) -> int:
        """Delete what the store knows of a user; how many events that were. Raises BusyError."""
        return await self.store.forget(self.alias(user))

    def _with(self, touches: Sequence[Touch], request: Request, bundle: Bundle, surface: str) -> Remembered:
        keep = bundle.surfaces[surface].seen == "only" or bool(request.items) or request.exclude_seen is False
        now = int(self.clock()) if request.now is None else request.now
        return remember(request, touches, kinds=bundle.manifest.history.events, now=now, keep=keep)

    def _arrival(self, event: Reported, now: int) -> Arrival:
        touch = None if event.event == "impression" else Touch(event.item, event.event, _when(event, now))
        return Arrival(event.id, self.alias(event.user), touch)


def _line(event: Reported, user: str, now: int) -> EventLine:
    return EventLine(
        id=event.id,
        user=user,
        item=event.item,
        event=event.event,
        time=_when(event, now),
        received=now,
        surface=event.surface,
        request_id=event.request_id,
        position=event.position,
    )


def _answer_line(served: Served, ids: Texts) -> AnswerLine:
    answer, ask, ranked = served.answer, served.ask, served.ranked
    drawn = zip(ranked.codes.tolist(), ranked.propensity.tolist(), strict=True)
    chances = {ids.at(code): chance for code, chance in drawn}
    found = zip(served.found.codes.tolist(), served.found.scores.tolist(), strict=True)
    return AnswerLine(
        request_id=answer.request_id,
        user="",
        surface=answer.surface,
        model=answer.model,
        version=answer.model_version,
        now=ask.now,
        history=len(ask.histories["history"].items),
        shown=[  # no lot was drawn of items that the bundle does not know
            Shown(item.id, at, item.score, chances.get(item.id, 1.0), item.reason)
            for at, item in enumerate(answer.items, 1)
        ],
        candidates=[Candidate(ids.at(code), round(score, 6)) for code, score in found],
        fallback=answer.fallback,
    )


def _when(event: Reported, now: int) -> int:
    """Senders' clocks may be ahead."""
    return now if event.time is None else min(event.time, now)
