"""Nobody gets past without a key that may do what is asked, nor too often."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import ceil
from typing import Self
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from serving_min.keys import Key, Keys, Role
from serving_min.limits import Bucket
from serving_min.wire import problem

OPEN = {"/", "/healthz", "/readyz", "/docs", "/openapi.json", "/tracker.js"}  # no secrets; probes have no key
EVENTS = "/v1/events"
ADMINS = ("/admin", "/v1/users")
KEY = "key"  # in the request's scope


def role_for(path: str) -> Role | None:
    """The role that a path asks for; None where everybody may. A route that nobody thought of asks for "read"."""
    if path in OPEN:
        return None
    if any(path == prefix or path.startswith(f"{prefix}/") for prefix in ADMINS):
        return "admin"
    return "events" if path == EVENTS else "read"


class Gate:
    """Who may pass. A key comes as ``Authorization: Bearer KEY``; beacons of a web page cannot send that, so
    ``/v1/events?key=KEY`` works too, for keys that may do nothing else."""

    def __init__(self, keys: Keys, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.keys = keys
        self._buckets = {
            key.name: Bucket(key.rate, key.burst or max(1.0, key.rate), clock=clock)
            for key in keys.keys
            if key.rate is not None
        }

    @classmethod
    def read(cls, path: str | None) -> Self | None:
        """With the keys in a file, or in the environment; None where there are none. Raises what ``Keys.read`` does."""
        keys = Keys.read(path)
        return None if keys is None else cls(keys)

    def refusal(self, scope: Scope) -> Response | None:
        """None for who may pass. Without a (known) key 401, without the role 403, beyond the key's rate 429 with
        ``Retry-After``. The scope has the name of a known key then."""
        role = role_for(scope["path"])
        if role is None:
            return None
        key = self._key(scope)
        if key is None:
            what = "give a key that this server knows: `Authorization: Bearer KEY`"
            return problem(401, what, **{"WWW-Authenticate": "Bearer"})
        scope[KEY] = key.name
        if not key.may(role):
            return problem(403, f"the key {key.name!r} may not do this; it takes the role {role!r}")
        if wait := self._wait(key):
            what = f"the key {key.name!r} asks more than {key.rate:g} times a second"
            return problem(429, what, **{"Retry-After": str(ceil(wait))})
        return None

    def _key(self, scope: Scope) -> Key | None:
        scheme, _, secret = Headers(scope=scope).get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.keys.find(secret.strip())
        if scope["path"] == EVENTS and (given := parse_qs(scope["query_string"].decode("latin-1")).get("key")):
            found = self.keys.find(given[0])
            return found if found is not None and found.public else None
        return None

    def _wait(self, key: Key) -> float:
        bucket = self._buckets.get(key.name)
        return 0.0 if bucket is None else bucket.take()


class Guard:
    """Middleware: what the ``gate`` refuses gets no further."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self.app, self.gate = app, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self.gate.refusal(scope) if scope["type"] == "http" else None
        await (self.app if refusal is None else refusal)(scope, receive, send)
