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
from recsys_lab.settings import in_words
from serving_min.surfaces import BUILT_IN, PLAIN_NAME, SEGMENT, TAKEN, Surface, with_sources

LOG = logging.getLogger(__name__)


def read_surfaces(settings: Mapping[str, Any], others: Collection[str], catalogue: Catalogue) -> dict[str, Surface]:
    """``export.surfaces``, without retrievers whose source is missing and without caps on what the items lack.

    ``others`` are the sources that not every bundle has: companions by name, segments. Raises ConfigError
    for what is no surface.
    """
    surfaces = _configured(settings)
    for name in surfaces:
        if not PLAIN_NAME.fullmatch(name):
            raise ConfigError(f"export.surfaces: {name!r} is no name for a route; use a-z, 0-9 and '-'")
        if name in TAKEN:
            raise ConfigError(f"export.surfaces: no surface can be called {name!r}, /v1/{name} is another route")
    kept = with_sources(surfaces, others)
    for name, surface in surfaces.items():
        for asked in set(surface.retrievers) - set(kept[name].retrievers):
            LOG.warning("surface %s goes without %s, which this bundle does not have", name, asked.source)
        if surface.retrievers and not kept[name].retrievers:
            LOG.warning("surface %s has no retriever left and shows its fallback alone", name)
    return {name: _without_caps(name, surface, catalogue) for name, surface in kept.items()}


def check_sources(settings: Mapping[str, Any], companions: Collection[str]) -> None:
    """Raises ConfigError when a surface of ``export.surfaces`` asks a source that no bundle with these ``companions``
    has; one that a bundle may lack is left out in time."""
    known = [*BUILT_IN, SEGMENT, *companions]
    for name, surface in _configured(settings).items():
        for asked in surface.retrievers:
            if asked.source not in known:
                there = ", ".join(known)
                raise ConfigError(f"export.surfaces.{name}: {asked.source!r} is no source; there are {there}")


def write_surfaces(surfaces: Mapping[str, Surface], path: Path) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(surfaces), indent=2) + b"\n")


def _configured(settings: Any) -> dict[str, Surface]:
    if not isinstance(settings, Mapping):
        raise ConfigError(
            f"export.surfaces: {settings!r} names none; write {{home: {{retrievers: [{{source: model}}]}}}}"
        )
    surfaces = {}
    for name, written in settings.items():
        try:
            surfaces[str(name)] = msgspec.convert(written, Surface)
        except msgspec.ValidationError as error:
            raise ConfigError(f"export.surfaces.{name}: {in_words(error)}") from error
    return surfaces


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
