"""How many items may come between two bundles, and where they are written down."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class ItemSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """``file`` keeps what operators say of items across restarts; null is ``items.jsonl`` in the registry, or nowhere
    for a server of a single bundle. There are at most ``most`` new and changed items that the
    live bundle does not know."""

    file: str | None = None
    most: Annotated[int, Meta(ge=1)] = 10_000
