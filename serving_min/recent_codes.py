"""Codes of ids that were asked for lately, told for many ids at once.

A dictionary of some hundred thousand ids has the processor wait for memory four times for each id (place, entry, id,
code), one id after the other. Here hash and code lie side by side in a table, and those of all ids are fetched at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

UNKNOWN = -1
LEAST, SLOTS = 1 << 12, 1 << 20  # of 16 bytes, at least and at most
ROOM = 8  # slots, at most, for each id that there is


class RecentCodes:
    """Codes from 0 on, by the 64-bit hash of their id: that two ids share one is less likely than an error of the
    memory itself. An id has two slots that it may be in; a third one there takes the place of another.

    Threads may share it: a slot has the code plus one, and the hash xor that, so one that is half written is nobody's
    (Hyatt and Mann, A lockless transposition table implementation for parallel search, 2002).
    """

    def __init__(self, ids: int, slots: int = SLOTS) -> None:
        self._bits = min(slots, max(LEAST, ROOM * ids)).bit_length() - 1
        self._slots = np.zeros((1 << self._bits, 2), np.int64)
        self._cells = self._slots.data
        self._mask = len(self._slots) - 1

    def codes(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """One for each id [N], -1 where it was not kept."""
        hashes = np.fromiter(map(hash, ids), np.int64, len(ids))
        codes, right = self._look(hashes, hashes)
        if np.count_nonzero(right) < len(hashes):
            again = np.flatnonzero(~right)
            others, right = self._look(hashes[again], hashes[again] >> self._bits)
            codes[again] = np.where(right, others, 0)
        codes -= 1
        return codes

    def keep(self, item: str, code: int) -> None:
        """From now on it is found, until others take its place."""
        key, cells = hash(item), self._cells
        first, second = key & self._mask, (key >> self._bits) & self._mask
        entry = key ^ (code + 1), code + 1
        if entry in ((cells[first, 0], cells[first, 1]), (cells[second, 0], cells[second, 1])):
            return
        place = second if cells[first, 1] and not cells[second, 1] else first
        cells[place, 0], cells[place, 1] = entry

    def _look(
        self, hashes: NDArray[np.int64], places: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The codes, plus one, in the slots that ``places`` name by their last bits, and which of them are those of the
        ``hashes``."""
        slots = self._slots.take(places & self._mask, axis=0)
        codes = slots[:, 1]
        return codes, slots[:, 0] ^ codes == hashes
