"""What the bytes of a plain request say, told without a parser, whose dozen calls take longer than all else that HTTP
asks for. Whatever is in the least unusual is left to the parser."""

from __future__ import annotations

import re
from collections.abc import Iterator

# none of those that change how long a request is, how it is answered, or what is sent on the connection afterwards
OTHER = rb"(?:connection: keep-alive|(?!content-length|connection|expect|transfer-encoding|origin|upgrade)"
OTHER += rb"[a-z0-9-]+:[\t -~\x80-\xff]*)\r\n"
HEAD = rb"POST /v1/(?!events )([\w-]+) HTTP/1\.1\r\n(?:OTHER)*content-length: (\d{1,5})\r\n(?:OTHER)*\r\n"
plain = re.compile(HEAD.replace(b"OTHER", OTHER), re.IGNORECASE).match


class Head:
    """The ``text`` in front of a body, of a request to a ``surface`` that has ``end`` bytes in all. Iterated, it gives
    its headers, with names in small letters, as a parser would."""

    __slots__ = ("end", "surface", "text")

    def __init__(self, surface: str, text: bytes, length: int) -> None:
        self.surface, self.text, self.end = surface, text, len(text) + length

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        for line in self.text.split(b"\r\n")[1:-2]:
            name, _, value = line.partition(b":")
            yield name.lower(), value.strip()

    def first(self, name: bytes) -> str:
        """The value of the first header of that name; nothing if there is none."""
        if name not in self.text.lower():  # far sooner known than by looking at each
            return ""
        return next((value.decode("latin-1") for header, value in self if header == name), "")


def head_of(data: bytes) -> Head | None:
    """The head of ``POST /v1/NAME``, events apart, if the bytes begin with a whole one that has nothing unusual."""
    found = plain(data)
    return Head(found[1].decode(), found[0], int(found[2])) if found else None
