"""``surfaces.json``: the configured surfaces, as far as this bundle can have them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.errors import ConfigError
from serving_min.surfaces import PLAIN_NAME, TAKEN, Surface, with_sources

LOG = logging.getLogger(__name__)


def read_surfaces(settings: Mapping[str, Any], others: Collection[str], catalogue: Catalogue) -> dict[str, Surface]:
    """``export.surfaces``, without retrievers whose source is missing and without caps on what the items lack.

    ``others`` are the sources that not every bundle has: companions by name, segments. Raises ConfigError
    for what is no surface.
    """
    try:
        surfaces = msgspec.convert(dict(settings), dict[str, Surface])
    except msgspec.ValidationError as error:
        raise ConfigError(f"export.surfaces: {error}") from error
    for name in surfaces:
        if not PLAIN_NAME.fullmatch(name):
            raise ConfigError(f"export.surfaces: {name!r} is no name for a route; use a-z, 0-9 and '-'")
        if name in TAKEN:
            raise ConfigError(f"export.surfaces: no surface can be called {name!r}, /v1/{name} is another route")
    kept = with_sources(surfaces, others)
    for name, surface in surfaces.items():
        for asked in set(surface.retrievers) - set(kept[name].retrievers):
            LOG.warning("surface %s goes without %s, which this bundle does not have", name, asked.source)
    return {name: _without_caps(name, surface, catalogue) for name, surface in kept.items()}


def write_surfaces(surfaces: Mapping[str, Surface], path: Path) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(surfaces), indent=2) + b"\n")


def _without_caps(name: str, surface: Surface, catalogue: Catalogue) -> Surface:
    caps = surface.rules.caps
    lacking = [
        column
        for column in ("category", "brand")
        if getattr(caps, column) is not None and not any(catalogue.strings(column))
    ]
    if not lacking:
        return surface
    LOG.warning("surface %s goes without its cap by %s, which the items do not have", name, " and ".join(lacking))
    caps = replace(caps, **dict.fromkeys(lacking))
    return replace(surface, rules=replace(surface.rules, caps=caps))
