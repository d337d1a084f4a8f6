"""``python -m serving_min BUNDLE``: answer requests from a bundle."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from serving_min.command_line import Parser
from serving_min.errors import ServingError


def main() -> int:
    try:
        _serve()
    except ServingError as error:
        sys.stderr.write(f"serving_min: {error}\n")
        return 2
    except KeyboardInterrupt:  # while it imports, too
        pass
    return 0


def _serve() -> None:
    from serving_min.settings import Settings

    parser = Parser("serving_min", "Answer requests from a bundle.")
    parser.add_argument("bundle", type=Path, help="the folder that `recsys-lab export` wrote, or a registry's")
    parser.add_argument("--host", help=f"address to listen on (default {Settings().host})")
    parser.add_argument("--port", type=int, help=f"0 takes a free one (default {Settings().port})")
    parser.add_argument(
        "--admin-port", type=int, metavar="PORT", help="for operators' routes, on 127.0.0.1 (default: none)"
    )
    parser.add_argument("--workers", type=int, metavar="N", help="processes behind the port; 2 and more need --redis")
    parser.add_argument("--redis", metavar="URL", help="where the users' latest events are kept (default: in memory)")
    parser.add_argument("--log", metavar="FOLDER", help="where events and answers are written (default: nowhere)")
    parser.add_argument("--kafka", metavar="SERVERS", help="HOST:PORT,… that events and answers are sent to")
    parser.add_argument("--otlp", metavar="URL", help="http://HOST:4318, where traces go (default: nowhere)")
    parser.add_argument("--settings", type=Path, metavar="FILE", help="a TOML file: see serving_min/README.md")
    parser.add_argument("--dev", action="store_true", default=None, help="a small storefront at / to look at")
    given = parser.parse_args()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to reload
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until a server hears it
    from serving_min.server import serve

    sections = {
        "state": {"redis": given.redis},
        "log": {"folder": given.log, "kafka": given.kafka},
        "admin": {"port": given.admin_port},
    }
    options = {
        "host": given.host,
        "port": given.port,
        "workers": given.workers,
        "otlp": given.otlp,
        "dev": given.dev,
    }
    serve(given.bundle, Settings.read(given.settings, **options, **sections))


if __name__ == "__main__":
    sys.exit(main())
