"""From a bundle's folder to a listening process."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import uvicorn

from serving_min.app import create_app
from serving_min.bundle import Bundle
from serving_min.engine import Engine
from serving_min.errors import StartError
from serving_min.messages import Request
from serving_min.settings import Settings
from serving_min.shop import Shop

KEEP_ALIVE = 120  # seconds
DRAIN = 30  # seconds that running requests get when the server is told to stop


def serve(bundle: Path | str, settings: Settings | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C, then answer what is running and return.

    Port 0 takes a free one; the line printed when ready names it. Raises BundleError, and
    StartError when the address cannot be had.
    """
    settings = settings or Settings()
    engine = Engine(Bundle.load(bundle))
    engine.recommend([Request()])  # the first answer is slower, so nobody should wait for it
    with _listen(settings.host, settings.port) as listener:
        manifest, (name, taken) = engine.bundle.manifest, listener.getsockname()[:2]
        where = f"http://[{name}]:{taken}" if ":" in name else f"http://{name}:{taken}"
        ready = f"{manifest.name} {manifest.version}: {len(engine.bundle.items):,} items at {where} (see {where}/docs)"
        config = uvicorn.Config(
            create_app(Shop(engine, settings)),
            loop="auto",  # uvloop, where it exists
            http="httptools",
            lifespan="on",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=DRAIN,
        )
        _Server(config, ready).run(sockets=[listener])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: str) -> None:
        super().__init__(config)
        self.ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        sys.stdout.write(f"{self.ready}\n")
        sys.stdout.flush()


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        raise StartError(f"cannot listen on {host} port {port}: {why}; choose another --port or --host") from error
