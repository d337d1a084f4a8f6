"""The lines of the log: one JSON object for each event and for each answer. Their fields are described in
``docs/sessions.md``."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from serving_min.events import Kind


class EventLine(Struct, frozen=True, omit_defaults=True):
    """An event as reported; ``received`` is the server's own time, both in epoch seconds."""

    stream: ClassVar[str] = "events"

    id: str
    user: str
    item: str
    event: Kind
    time: int
    received: int
    surface: str | None = None
    request_id: str | None = None
    position: int | None = None


class Shown(Struct, frozen=True):
    """An item at a ``position`` (from 1), and the probability with which the policy puts it there."""

    item: str
    position: int
    score: float
    propensity: float
    reason: str


class Candidate(Struct, frozen=True):
    """An item that was scored and could have been shown."""

    item: str
    score: float


class AnswerLine(Struct, frozen=True, omit_defaults=True):
    """One answer. ``history`` is the number of events that it was made from, ``now`` the time it was asked at."""

    stream: ClassVar[str] = "answers"

    request_id: str
    user: str
    surface: str
    model: str
    version: str
    now: int
    history: int
    shown: list[Shown]
    candidates: list[Candidate] = []
    fallback: str | None = None


Line = EventLine | AnswerLine
