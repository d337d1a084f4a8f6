"""What operators say of items: the body of ``POST /admin/items``, and all that was said so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from serving_min.content import Entry
from serving_min.messages import EpochSeconds, ItemId

MOST_AT_ONCE = 1_000  # items in one body
Name = Annotated[str, Meta(min_length=1, max_length=512)]
Text = Annotated[str, Meta(max_length=20_000)]
Vector = Annotated[tuple[float, ...], Meta(max_length=8_192)]


class ItemEntry(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A row of the catalogue as it is now, whole; what is left out is unknown. Columns that the bundle's items do not
    have are ignored. ``available_from`` defaults to when it is said."""

    id: Name
    title: Text = ""
    text: Text = ""
    category: str = ""
    brand: str = ""
    price: float | None = None
    available_from: EpochSeconds | None = None
    market: str = ""
    min_age: float | None = None
    margin: float | None = None
    stock: float | None = None
    text_vector: Vector = ()
    image_vector: Vector = ()

    @property
    def content(self) -> Entry:
        """What the item tower reads."""
        named = (self.title, self.text, self.category, self.brand, self.price)
        return Entry(*named, text_vector=self.text_vector, image_vector=self.image_vector)


Ids = Annotated[tuple[ItemId, ...], Meta(max_length=MOST_AT_ONCE)]


class Changes(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """New or changed ``items``; those to ``hide`` from every list, and those to ``show`` again. The server says when
    (``time``)."""

    items: Annotated[tuple[ItemEntry, ...], Meta(max_length=MOST_AT_ONCE)] = ()
    hide: Ids = ()
    show: Ids = ()
    time: EpochSeconds = 0


class Known(Struct, frozen=True):
    """An entry, and when it was said."""

    entry: ItemEntry
    time: int


class Assortment(Struct, frozen=True):
    """All that was said, the last word on each item."""

    entries: Mapping[str, Known] = {}
    hidden: frozenset[str] = frozenset()

    def after(self, *news: Changes) -> Assortment:
        entries, hidden = dict(self.entries), set(self.hidden)
        for changes in news:
            for entry in changes.items:
                since = changes.time if entry.available_from is None else entry.available_from
                entries[entry.id] = Known(replace(entry, available_from=since), changes.time)
            hidden.update(changes.hide)
            hidden.difference_update(changes.show)
        return Assortment(entries, frozenset(hidden))
