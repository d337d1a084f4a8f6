"""What a worker tells its supervisor: lines on its standard output, after the one that says it is ready. What it said
before it died is still heard."""

from __future__ import annotations

import sys
from contextlib import suppress

import msgspec
from msgspec import Struct


class Left(Struct, frozen=True, tag=True):
    """The canary of this ``bundle`` broke its budget."""

    bundle: str


class Forgotten(Struct, frozen=True, tag=True):
    """A user was: kept answers are to be thrown away."""


Tidings = Left | Forgotten
_decoder: msgspec.json.Decoder[Tidings] = msgspec.json.Decoder(Tidings)


def tell(tidings: Tidings) -> None:
    with suppress(OSError):  # nobody supervises any more
        sys.stdout.write(msgspec.json.encode(tidings).decode() + "\n")
        sys.stdout.flush()


def understood(line: bytes) -> Tidings | None:
    """None for any other line."""
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
