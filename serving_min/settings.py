"""How a server runs: ``--settings FILE.toml``, and command-line options that go before it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from serving_min.assortment.settings import ItemSettings
from serving_min.cache import CacheSettings
from serving_min.doors import DoorSettings
from serving_min.errors import StartError
from serving_min.fleet.settings import FleetSettings
from serving_min.logs import LoggingSettings
from serving_min.sinks.eventlog import LogSettings
from serving_min.state.settings import StateSettings

Positive = Annotated[int, Meta(ge=1)]


class AdminSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where operators' routes are; nowhere without a ``port``."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] | None = None


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """``waiting`` requests may queue, more get a 503. What is asked after ``deadline`` seconds in the queue gets the
    fallback. ``workers`` are processes: one for each core. ``salt`` turns user ids into pseudonyms before they are kept
    anywhere. ``otlp`` is where traces go, http://HOST:4318; ``meters`` a folder, empty at the start, in which the
    processes of one server show each other their metrics. ``dev`` puts a small storefront at / to look at the bundle.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8000
    waiting: Positive = 512
    deadline: Annotated[float, Meta(gt=0)] = 1.0
    workers: Positive = 1
    salt: Annotated[str, Meta(min_length=8)] | None = None
    state: StateSettings = StateSettings()
    log: LogSettings = LogSettings()
    fleet: FleetSettings = FleetSettings()
    items: ItemSettings = ItemSettings()
    doors: DoorSettings = DoorSettings()
    cache: CacheSettings = CacheSettings()
    logging: LoggingSettings = LoggingSettings()
    otlp: str | None = None
    meters: str | None = None
    dev: bool = False
    admin: AdminSettings = AdminSettings()

    @classmethod
    def read(cls, path: Path | None = None, **options: Any) -> Settings:
        """The file's settings, replaced by those ``options`` that are not None; a section's are a mapping.

        Raises StartError for a file that cannot be read, a setting that does not exist or cannot be.
        """
        try:
            written = {} if path is None else msgspec.toml.decode(path.read_bytes())
            return msgspec.convert(_replaced(written, options), cls)
        except OSError as error:
            raise StartError(f"settings: {path}: {error.strerror or error}") from error
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
            raise StartError(f"settings: {_option(str(error), options) or path or 'options'}: {error}") from error


def _option(said: str, options: Mapping[str, Any]) -> str | None:
    """The number among the ``options`` that an error speaks of, as it was typed."""
    found = re.search(r"at `\$\.([\w.]+)`", said)
    if found is None:
        return None
    value: Any = options
    for name in found[1].split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return f"--{found[1].replace('.', '-')} {value}" if isinstance(value, int) else None


def _replaced(written: dict[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    replaced = dict(written)
    for name, value in options.items():
        section = written.get(name, {})
        if isinstance(value, Mapping):
            replaced[name] = _replaced(section, value) if isinstance(section, dict) else section
        elif value is not None:
            replaced[name] = value
    return replaced
