"""An answer as it is kept, to be given to all who ask the same."""

from __future__ import annotations

from functools import cached_property
from hashlib import blake2b
from itertools import count
from weakref import WeakKeyDictionary

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from serving_min.asks import Asked
from serving_min.engine import Engine
from serving_min.fleet.deployment import BROKEN
from serving_min.laps import Batch
from serving_min.messages import MOST_EVENTS, Answer
from serving_min.sinks.records import AnswerLine

_encode = msgspec.json.Encoder().encode
LINE = 120  # bytes, about, of a candidate in the log's line
FEW = 5  # events


class Given(Struct, frozen=True, dict=True):
    """Made in ``batch``. ``json`` is the answer's, with the id of the request that it was made for; ``line`` what the
    log has of it, if anybody reads that."""

    answer: Answer
    line: AnswerLine | None
    json: bytes
    batch: Batch

    def body(self, request_id: str) -> bytes:
        """The JSON for another request."""
        if request_id == self.answer.request_id:
            return self.json
        head, tail = self._parts
        return b"".join((head, _encode(request_id), tail))

    @property
    def tag(self) -> str:
        """The same for the same answer, whoever asked (an ETag, which is weak: bodies differ in the request's id)."""
        return f'W/"{blake2b(b"".join(self._parts), digest_size=16).hexdigest()}"'

    @cached_property
    def _parts(self) -> tuple[bytes, bytes]:
        """What is before the request's id, and what behind."""
        here = b'"request_id":'  # in no text: quotes within those are escaped
        head, _, tail = self.json.partition(here + _encode(self.answer.request_id))
        return head + here, tail


def weigh(given: Given) -> int | None:
    """About, in bytes of memory: the items are there as objects too. What went wrong is not kept."""
    if given.answer.fallback in BROKEN:
        return None
    return 5 * len(given.json) + (0 if given.line is None else LINE * len(given.line.candidates))


class Fingerprints:
    """What makes two requests the same: engine, surface, and all that is asked, but not by whom."""

    def __init__(self, *, kept: bool) -> None:
        """Where answers are not ``kept``, only requests of few events are looked at: others are nobody else's."""
        self.longest = MOST_EVENTS if kept else FEW
        self._numbers: WeakKeyDictionary[Engine, int] = WeakKeyDictionary()
        self._next = count()

    def comparable(self, engine: Engine, asked: Asked) -> bool:
        """Whether somebody else may be asking the same: never on surfaces that draw lots."""
        if engine.bundle.surfaces[asked.surface].rules.exploration is not None:
            return False
        return len(asked.request.history) <= self.longest

    def of(self, engine: Engine, asked: Asked) -> bytes | None:
        """None for what is not ``comparable``."""
        if not self.comparable(engine, asked):
            return None
        number = self._numbers.get(engine)
        if number is None:
            number = self._numbers[engine] = next(self._next)
        request = replace(asked.request, user_id=None, request_id=None)
        return _encode((number, asked.surface, request, asked.dismissed, sorted(asked.recalled)))
