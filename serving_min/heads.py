"""What the bytes of a plain request say, told without a parser, whose dozen calls take longer than all else that HTTP
asks for. Whatever is in the least unusual is left to the parser."""

from __future__ import annotations

import re
from typing import NamedTuple

# none of those that change how long a request is, how it is answered, or what is sent on the connection afterwards
OTHER = rb"(?:connection: keep-alive|(?!content-length|connection|expect|transfer-encoding|origin|upgrade)"
OTHER += rb"[a-z0-9-]+:[\t -~\x80-\xff]*)\r\n"
HEAD = rb"POST /v1/([\w-]+) HTTP/1\.1\r\n(?:OTHER)*content-length: (\d{1,5})\r\n(?:OTHER)*\r\n".replace(b"OTHER", OTHER)
plain = re.compile(HEAD, re.IGNORECASE).match


class Head(NamedTuple):
    """Of a request to a ``surface``, whose body goes from byte ``body`` to byte ``end``. Headers' names are in small
    letters."""

    surface: str
    headers: list[tuple[bytes, bytes]]
    body: int
    end: int


def head_of(data: bytes) -> Head | None:
    """The head of ``POST /v1/NAME``, if the bytes begin with a whole one that has nothing unusual."""
    found = plain(data)
    if found is None:
        return None
    lines = (line.partition(b":") for line in found[0].split(b"\r\n")[1:-2])
    headers = [(name.lower(), value.strip()) for name, _, value in lines]
    return Head(found[1].decode(), headers, found.end(), found.end() + int(found[2]))
