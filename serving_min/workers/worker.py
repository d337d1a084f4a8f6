"""``python -m serving_min.workers.worker``: started by the supervisor, with an ``Order`` on its standard input.

The input stays open as long as the supervisor lives: a worker whose supervisor was killed drains and ends.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from serving_min.errors import ServingError
from serving_min.settings import Settings
from serving_min.workers.tidings import Forgotten, Left, tell

if TYPE_CHECKING:
    from serving_min.shop import Shop


class Order(Struct, frozen=True):
    """What to serve, and which ``bundle`` of it if that is still there; the address of the server, and two file
    descriptors: of the channel through which connections come, and of the socket where operators ask."""

    path: str
    bundle: str
    settings: Settings
    where: str
    channel: int
    admin: int


def main() -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C reaches all; the supervisor says what to do
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    order.settings.logging.configure()
    from serving_min.server import open_shop
    from serving_min.workers.receiving import Receiving

    threading.Thread(target=_end_with_the_supervisor, name="supervisor", daemon=True).start()
    bundle = Path(order.bundle)
    try:
        shop = open_shop(Path(order.path), order.settings, bundle if bundle.is_dir() else None)
    except ServingError as error:
        sys.stderr.write(f"serving_min: {error}\n")
        return 2
    shop.fleet.rolled_back = lambda bundle: tell(Left(bundle))
    shop.erasure.forgotten = partial(_forgotten, shop)
    channel, admin = (socket.socket(fileno=handle) for handle in (order.channel, order.admin))
    Receiving(shop, order.where, admin, channel).run(sockets=[])
    return 0


def _forgotten(shop: Shop) -> None:
    shop.cache.clear()
    tell(Forgotten())


def _end_with_the_supervisor() -> None:
    os.read(sys.stdin.fileno(), 1)  # nothing comes but the end; a buffered read would not let the process go
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
