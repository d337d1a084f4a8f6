"""Sockets to listen on."""

from __future__ import annotations

import socket
from contextlib import suppress

from serving_min.errors import StartError


def listen(host: str, port: int, *, options: str = "--port or --host") -> socket.socket:
    """Port 0 takes a free one. Raises StartError, which names the ``options`` that would help."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        said = str(getattr(error, "strerror", None) or error)
        why = said.partition(" (while")[0]  # attempting to bind on an address, which is named here
        raise StartError(f"cannot listen on {host} port {port}: {why}; choose another {options}") from error


def waiting(listener: socket.socket) -> list[socket.socket]:
    """Connections that have come, and nobody has accepted."""
    listener.setblocking(False)
    come: list[socket.socket] = []
    with suppress(OSError):  # no more, or too many files are open
        while True:
            come.append(listener.accept()[0])
    return come


def address(listener: socket.socket) -> str:
    """Where it can be reached."""
    name, port = listener.getsockname()[:2]
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
