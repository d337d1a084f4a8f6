"""Connections to the one port, handed to the workers in turn.

The kernel could share them out, in two ways, and both were measured (docs/decisions.md): with one socket for all, the
quickest worker takes most of what comes at once; with a socket for each (SO_REUSEPORT), those that wait at a worker
die with it.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Iterator

AT_ONCE = 64  # connections that are accepted in one go
PAUSE = 0.01  # seconds, when no worker takes any more

Channel = tuple[socket.socket, socket.socket]  # the supervisor's end, and the worker's


def make_channel() -> Channel:
    """Each message in it is one connection."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setblocking(False)
    return ends


def received(channel: socket.socket) -> Iterator[socket.socket]:
    """The connections that wait in a worker's end of its channel."""
    while True:
        try:
            _, handles, _, _ = socket.recv_fds(channel, 1, 1)
        except BlockingIOError:
            return
        if not handles:  # the other end is closed
            return
        yield from (socket.socket(fileno=handle) for handle in handles)


class Dispatcher:
    """Accepts at ``listener``, for the workers at the ``channels`` that are ``open``."""

    def __init__(self, listener: socket.socket, channels: list[Channel]) -> None:
        self.listener, self.channels = listener, channels
        self.open: set[int] = set()
        self._waiting: deque[socket.socket] = deque()
        self._next = 0
        self._pausing = False

    def start(self) -> None:
        self.listener.setblocking(False)
        self.listener.listen(2_048)
        asyncio.get_running_loop().add_reader(self.listener, self._accept)

    def stop(self) -> None:
        """Accept no more."""
        asyncio.get_running_loop().remove_reader(self.listener)
        self.listener.close()

    def lost(self, number: int) -> None:
        """A worker is no more: what it had not taken yet goes to the others."""
        self.open.discard(number)
        self._waiting.extend(received(self.channels[number][1]))
        self._hand_over()

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                self._waiting.append(self.listener.accept()[0])
            except OSError:  # no more, or one that has gone already, or too many files are open
                break
        self._hand_over()

    def _hand_over(self) -> None:
        while self._waiting and self._taken(self._waiting[0]):
            self._waiting.popleft().close()
        if self._waiting and not self._pausing:
            self._pausing = True
            asyncio.get_running_loop().call_later(PAUSE, self._resume)

    def _resume(self) -> None:
        self._pausing = False
        self._hand_over()

    def _taken(self, connection: socket.socket) -> bool:
        """By the first in turn that has room."""
        for _ in self.channels:
            number, self._next = self._next, (self._next + 1) % len(self.channels)
            if number in self.open:
                try:
                    socket.send_fds(self.channels[number][0], [b"\0"], [connection.fileno()])
                except BlockingIOError:
                    continue
                return True
        return False


def listen_to(channel: socket.socket, take: Callable[[socket.socket], None]) -> None:
    """Call ``take`` with each connection that comes, in the running event loop."""

    def read() -> None:
        for connection in received(channel):
            take(connection)

    asyncio.get_running_loop().add_reader(channel, read)
