"""Codes of ids that were asked for before, told for many ids at once.

A dictionary of some hundred thousand ids has the processor wait for memory four times for each id (place, entry, id,
code), one id after the other. Here hash and code lie side by side in a table, and those of all ids are fetched at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

UNKNOWN = -1
SLOTS = 1 << 20  # of 16 bytes, at most
ROOM = 8  # slots for each id that there is


class Remembered:
    """Codes from 0 on, by the 64-bit hash of their id: that two ids share one is less likely than an error of the
    memory itself. An id has two slots that it may be in; a third one there takes the place of another.

    Threads may share it: a slot has the code plus one, and the hash xor that, so one that is half written is nobody's
    (Hyatt and Mann, A lockless transposition table implementation for parallel search, 2002).
    """

    def __init__(self, ids: int, slots: int = SLOTS) -> None:
        self._bits = min(slots, ROOM * ids + 1).bit_length() - 1
        self._slots = np.zeros((1 << self._bits, 2), np.int64)
        self._cells = self._slots.data

    def codes(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """One for each id [N], -1 where it was not kept."""
        hashes = np.fromiter(map(hash, ids), np.int64, len(ids))
        codes, missing = self._look(hashes)
        again = np.flatnonzero(missing)
        if len(again):
            codes[again], _ = self._look(hashes[again], self._bits)
        return codes

    def keep(self, item: str, code: int) -> None:
        """From now on it is found, until others take its place."""
        key, mask, cells = hash(item), len(self._slots) - 1, self._cells
        first, second = key & mask, (key >> self._bits) & mask
        place = second if cells[first, 1] and not cells[second, 1] else first
        cells[place, 0], cells[place, 1] = key ^ (code + 1), code + 1

    def _look(self, hashes: NDArray[np.int64], shift: int = 0) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The codes in the slots that these bits of the ``hashes`` name, and which are not theirs: those are -1."""
        slots = self._slots.take((hashes >> shift) & (len(self._slots) - 1), axis=0)
        codes = slots[:, 1] - 1
        missing = (slots[:, 0] ^ slots[:, 1]) != hashes
        codes[missing] = UNKNOWN
        return codes, missing
