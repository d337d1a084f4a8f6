"""An answer as it is kept, to be given to all who ask the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
from msgspec.structs import replace

from serving_min.asks import Asked
from serving_min.engine import Engine
from serving_min.fleet.deployment import BROKEN
from serving_min.messages import Answer
from serving_min.sinks.records import AnswerLine

_encode = msgspec.json.Encoder().encode
LINE = 120  # bytes, about, of a candidate in the log's line


@dataclass(frozen=True)
class Given:
    """``head`` and ``tail`` are the answer's JSON around the request's id, ``line`` what the log has of it, if
    anybody reads that."""

    answer: Answer
    line: AnswerLine | None
    head: bytes
    tail: bytes

    @classmethod
    def of(cls, answer: Answer, body: bytes, line: AnswerLine | None) -> Given:
        here = b'"request_id":'  # in no text: quotes within those are escaped
        head, _, tail = body.partition(here + _encode(answer.request_id))
        return cls(answer, line, head + here, tail)

    def body(self, request_id: str) -> bytes:
        return b"".join((self.head, _encode(request_id), self.tail))

    @property
    def tag(self) -> str:
        """The same for the same answer, whoever asked (an ETag, which is weak: bodies differ in the request's id)."""
        return f'W/"{blake2b(self.head + self.tail, digest_size=16).hexdigest()}"'


def weigh(given: Given) -> int | None:
    """About, in bytes of memory: the items are there as objects too. What went wrong is not kept."""
    if given.answer.fallback in BROKEN:
        return None
    return 4 * (len(given.head) + len(given.tail)) + (0 if given.line is None else LINE * len(given.line.candidates))


class Fingerprints:
    """What makes two requests the same: engine, surface, and all that is asked, but not by whom."""

    def __init__(self) -> None:
        self._numbers: WeakKeyDictionary[Engine, int] = WeakKeyDictionary()
        self._next = count()

    def of(self, engine: Engine, asked: Asked) -> bytes | None:
        """None for what is never the same twice: surfaces that draw lots."""
        if engine.bundle.surfaces[asked.surface].rules.exploration is not None:
            return None
        number = self._numbers.get(engine)
        if number is None:
            number = self._numbers[engine] = next(self._next)
        dismissed: Mapping[str, Any] = asked.dismissed
        request = replace(asked.request, user_id=None, request_id=None)
        return blake2b(_encode((number, asked.surface, request, dismissed)), digest_size=16).digest()
