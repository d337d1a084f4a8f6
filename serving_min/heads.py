"""What the bytes of a plain request say, told without a parser: a server that has no time must know what it refuses."""

from __future__ import annotations

import re

# none of those that change how long a request is, how it is answered, or what is sent on the connection afterwards
OTHER = rb"(?:connection: keep-alive|(?!content-length|connection|expect|transfer-encoding|origin|upgrade|x-request-id)"
OTHER += rb"[a-z0-9-]+:[^\r\n]*)\r\n"
HEAD = rb"POST /v1/([\w-]+) HTTP/1\.1\r\n(?:OTHER)*content-length: (\d{1,5})\r\n(?:OTHER)*\r\n".replace(b"OTHER", OTHER)
plain = re.compile(HEAD, re.IGNORECASE).match


def surface_asked(data: bytes) -> str | None:
    """The name in ``POST /v1/NAME``, if the bytes are one such request, whole, and with nothing unusual in its head."""
    head = plain(data)
    return head[1].decode("latin-1") if head and len(data) == head.end() + int(head[2]) else None
