"""From item ids to codes, without all ids in memory.

``item_codes.npy`` is a hash table with open addressing: int32 slots, more than there are items, that hold codes
or -1. An id is looked for from slot ``crc32(id in UTF-8) mod len(slots)`` on, wrapping around, until it is found or a
slot is empty. The ids themselves stay in ``items.arrow``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from serving_min.recent_codes import UNKNOWN, RecentCodes
from serving_min.texts import Texts

FEW = 3  # ids that are found one by one as soon as together


class ItemCodes(Mapping[str, int]):
    """The codes of ``ids``, whose places ``slots`` gives. Ids asked for are remembered, as most will be asked again."""

    def __init__(self, ids: Texts, slots: NDArray[np.int32]) -> None:
        self.ids = ids
        self.slots = slots.data
        self.recent = RecentCodes(len(ids))

    def remembered(self, lists: Sequence[Sequence[str]]) -> list[list[int] | None]:
        """The codes of each list's ids, if all of them were asked for before."""
        found = self.recent.codes([*chain.from_iterable(lists)])
        codes, strange = found.tolist(), found.min(initial=0) == UNKNOWN
        told, start = [], 0
        for ids in lists:
            own = codes[start : start + len(ids)]
            told.append(None if strange and UNKNOWN in own else own)
            start += len(ids)
        return told

    def find(self, ids: Sequence[str]) -> list[int]:
        """The code of each id, -1 where there is no such item."""
        codes: list[int] = self.recent.codes(ids).tolist() if len(ids) > FEW else [UNKNOWN] * len(ids)
        return [self._find(item) if code == UNKNOWN else code for item, code in zip(ids, codes, strict=True)]

    def parted(self, ids: Sequence[str]) -> tuple[list[int], list[str]]:
        """The codes of those that there are, and those that there are not."""
        found = self.find(ids)
        strangers = [item for item, code in zip(ids, found, strict=True) if code == UNKNOWN]
        return [code for code in found if code != UNKNOWN] if strangers else found, strangers

    def __getitem__(self, item: str) -> int:
        code = self._find(item)
        if code == UNKNOWN:
            raise KeyError(item)
        return code

    def __contains__(self, item: object) -> bool:
        return isinstance(item, str) and self._find(item) != UNKNOWN

    def __iter__(self) -> Iterator[str]:
        return (self.ids.at(code) for code in range(len(self.ids)))

    def __len__(self) -> int:
        return len(self.ids)

    def _find(self, item: str) -> int:
        text = item.encode()
        slots, same = self.slots, self.ids.is_at
        place = crc32(text) % len(slots)
        while (code := slots[place]) >= 0:
            if same(code, text):
                self.recent.keep(item, code)
                return code
            place = (place + 1) % len(slots)
        return UNKNOWN


def make_slots(ids: Sequence[str]) -> NDArray[np.int32]:
    """A table for distinct ``ids``, half full: a search takes one and a half looks on average."""
    slots = np.full(2 * len(ids) + 1, UNKNOWN, np.int32)
    codes = np.arange(len(ids), dtype=np.int32)
    places = np.fromiter((crc32(item.encode()) for item in ids), np.int64, len(ids)) % len(slots)
    while len(codes):  # all at once: each tries its place, and those that find it taken try the next one
        free = slots[places] == UNKNOWN
        slots[places[free]] = codes[free]
        waiting = slots[places] != codes
        codes, places = codes[waiting], (places[waiting] + 1) % len(slots)
    return slots


def check_slots(slots: NDArray[np.int32], ids: Texts) -> str | None:
    """What is wrong with a table for ``ids``, if anything is: each code must stand there once, and some slot be free.

    Some ids are looked up as well, so that the table of another catalogue is noticed.
    """
    if slots.dtype != np.int32 or slots.ndim != 1:
        return f"slots are {slots.dtype} {list(slots.shape)}, not int32 of one dimension"
    if len(slots) <= len(ids):
        return f"{len(slots)} slots for {len(ids)} items"
    codes = slots[slots != UNKNOWN]
    there = np.zeros(len(ids), np.bool_)
    if len(codes) != len(ids) or (len(codes) and (codes.min() < 0 or codes.max() >= len(ids))):
        return f"does not name each of the {len(ids)} items once"
    there[codes] = True
    if not there.all():
        return f"does not name each of the {len(ids)} items once"
    lookup = ItemCodes(ids, slots)
    for code in np.linspace(0, len(ids) - 1, min(len(ids), 1_000)).astype(int).tolist():
        if lookup.get(ids.at(code)) != code:
            return f"does not find item {ids.at(code)!r}, or two items have this id"
    return None
