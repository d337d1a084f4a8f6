"""What the bytes of a plain request say, told without a parser, whose dozen calls take longer than all else that HTTP
asks for. Whatever is in the least unusual is left to the parser."""

from __future__ import annotations

import re
from functools import lru_cache

# none of those that change how long a request is, how it is answered, or what is sent on the connection afterwards
OTHER = rb"(?:connection: keep-alive|(?!content-length|(?:proxy-)?connection|expect|transfer-encoding|origin|upgrade)"
OTHER += rb"[a-z0-9-]+:[\t -~\x80-\xff]*)\r\n"
HEADERS = rb"(?:OTHER)*content-length: (\d{1,5})\r\n(?:OTHER)*".replace(b"OTHER", OTHER)
plain = re.compile(rb"POST /v1/(?!events )([\w-]+) HTTP/1\.1\r\n(?i:%b)\r\n" % HEADERS).fullmatch
END, LONGEST = b"\r\n\r\n", 4_096  # bytes: longer heads are the parser's
KEPT = 1_024  # heads


class Head:
    """The ``text`` in front of a body, of a request to a ``surface`` that has ``end`` bytes in all. Its ``headers`` are
    as a parser would give them, with names in small letters; ``request_id`` is what the client calls it."""

    __slots__ = ("end", "headers", "request_id", "surface", "text")

    def __init__(self, surface: str, text: bytes, length: int) -> None:
        self.surface, self.text, self.end = surface, text, len(text) + length
        parts = (line.partition(b":") for line in text.split(b"\r\n")[1:-2])
        self.headers = [(name.lower(), value.strip()) for name, _, value in parts]
        self.request_id = next((value.decode("latin-1") for name, value in self.headers if name == b"x-request-id"), "")


def head_of(data: bytes) -> Head | None:
    """The head of ``POST /v1/NAME``, events apart, if the bytes begin with a whole one that has nothing unusual."""
    end = data.find(END, 0, LONGEST) + len(END)
    return _read(data[:end]) if end >= len(END) else None


@lru_cache(KEPT)
def _read(text: bytes) -> Head | None:
    """A client says the same each time, but for the length."""
    found = plain(text)
    return Head(found[1].decode(), text, int(found[2])) if found else None
