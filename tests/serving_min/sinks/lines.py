"""Lines for the tests of all sinks."""

from __future__ import annotations

from serving_min.sinks.records import AnswerLine, Candidate, EventLine, Shown

NOON = 1_700_049_600  # 2023-11-15, 12:00 UTC


def event(identity: str, item: str = "A", *, user: str = "ann") -> EventLine:
    return EventLine(identity, user, item, "view", NOON, NOON + 1, surface="home", position=2)


def answer(request: str) -> AnswerLine:
    shown = [Shown("A", 1, 0.5, 0.75, "model"), Shown("B", 2, 0.25, 1.0, "popular")]
    candidates = [Candidate("A", 0.5), Candidate("C", 0.3)]
    return AnswerLine(request, "ann", "home", "shop-ease", "1", NOON, 3, shown, candidates)
