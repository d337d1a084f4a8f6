"""Who may ask: keys with roles, of which only hashes are written down.

``python -m serving_min.keys NAME read events`` makes one and prints what belongs into the file.
"""

from __future__ import annotations

import hmac
import os
import secrets
import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from serving_min.errors import StartError

Role = Literal["read", "events", "admin"]
VARIABLE = "SERVING_KEYS"


class Key(Struct, frozen=True, forbid_unknown_fields=True):
    """``name`` is what logs call it. ``rate`` requests a second in the long run, and ``burst`` at once, are answered
    by each process, whatever the others do; null: no limit."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    roles: Annotated[tuple[Role, ...], Meta(min_length=1)]
    rate: Annotated[float, Meta(gt=0)] | None = None
    burst: Annotated[float, Meta(ge=1)] | None = None

    def __post_init__(self) -> None:
        if self.burst is not None and self.rate is None:
            raise ValueError(f"the key {self.name!r} has a `burst`, which limits nothing without a `rate`")

    def may(self, role: Role) -> bool:
        """An admin may do everything."""
        return role in self.roles or "admin" in self.roles

    @property
    def public(self) -> bool:
        """Whether it stands in web pages, where anybody can read it: it may do no more than report events."""
        return self.roles == ("events",)


class _Ring(Struct, frozen=True, forbid_unknown_fields=True):
    keys: Annotated[tuple[Key, ...], Meta(min_length=1)]


class Keys:
    """All keys of a server."""

    def __init__(self, keys: tuple[Key, ...]) -> None:
        self.keys = keys

    @classmethod
    def read(cls, path: Path | str | None, environment: Mapping[str, str] = os.environ) -> Keys | None:
        """From a TOML file, or from the variable SERVING_KEYS, which holds the same text; None where neither is there.

        Raises StartError for a file that cannot be read, and for keys that are none or have one name twice.
        """
        where = f"keys: {path or VARIABLE}"
        try:
            text = environment.get(VARIABLE, "") if path is None else Path(path).read_text()
            if path is None and not text:
                return None
            keys = msgspec.toml.decode(text, type=_Ring).keys
        except OSError as error:
            raise StartError(f"{where}: {error.strerror or error}") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StartError(
                f"{where}: {error}; `python -m serving_min.keys NAME read` shows how a key looks"
            ) from error
        names = [key.name for key in keys]
        if len(set(names)) < len(names):
            raise StartError(f"{where}: two keys have one name: {sorted(names)}")
        return cls(keys)

    def find(self, secret: str) -> Key | None:
        """The key with this secret. Takes as long for every secret, so that no answer can be felt for."""
        digest = hashed(secret)
        found = None
        for key in self.keys:
            if hmac.compare_digest(digest, key.sha256):
                found = key
        return found


def hashed(secret: str) -> str:
    """Secrets are 256 random bits, so that one round of SHA-256 hides them."""
    return sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def main(arguments: list[str]) -> int:
    if len(arguments) < 2 or not set(arguments[1:]) <= set(get_args(Role)):
        sys.stderr.write(f"usage: python -m serving_min.keys NAME ROLE…; the roles are {' '.join(get_args(Role))}\n")
        return 2
    secret = secrets.token_urlsafe(32)
    entry = {"name": arguments[0], "sha256": hashed(secret), "roles": arguments[1:]}
    lines = [f"{name} = {msgspec.json.encode(value).decode()}" for name, value in entry.items()]
    sys.stderr.write(f"the key, which is shown this once: {secret}\n")
    sys.stdout.write("\n".join(["[[keys]]", *lines]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
