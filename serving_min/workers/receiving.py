"""A server that accepts nothing itself: connections are handed to it."""

from __future__ import annotations

import asyncio
import socket

from serving_min.server import Serving
from serving_min.shop import Shop
from serving_min.workers.connections import listen_to, received


class Receiving(Serving):
    """Connections come through ``channel``."""

    def __init__(self, shop: Shop, where: str, admin: socket.socket, channel: socket.socket) -> None:
        super().__init__(shop, where, admin)
        self.channel = channel

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        listen_to(self.channel, lambda connection: self._spawn(self.take([connection])))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().remove_reader(self.channel)
        await self.take(received(self.channel))
        await super().shutdown(sockets)
