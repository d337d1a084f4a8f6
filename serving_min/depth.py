"""How many items an index is asked for, so that enough remain."""

from __future__ import annotations

from math import ceil

LEAST = 64  # asked of an approximate index; fewer cost as much, and a list of one item would be found seldom


def depth(k: int, barred: int, widening: int, left: float = 1.0) -> int:
    """For ``k`` items and one more beside those ``barred``, where a filter leaves a share ``left`` of all.

    What an approximate index puts first is not what scores best, so ``widening`` times as many are looked at. What is
    barred stands in the way once, however many are looked at. A power of two, so that many requests ask alike.
    """
    wanted = (k + 1) * widening + barred
    if widening > 1:
        wanted = max(LEAST, wanted)
    if left < 1:
        wanted = ceil(2 * wanted / left)
    return 1 << (wanted - 1).bit_length()
