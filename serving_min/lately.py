"""What was asked lately, to the byte: its answer is kept, or is being made."""

from __future__ import annotations

MOST = 1_024


class Lately:
    """The latest bodies that were taken, by their hashes: one that is confused with another is decoded in vain."""

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._taken: dict[int, None] = {}

    def has(self, surface: str, body: bytes) -> bool:
        return hash((surface, body)) in self._taken

    def take(self, surface: str, body: bytes) -> None:
        key = hash((surface, body))
        self._taken.pop(key, None)
        self._taken[key] = None
        if len(self._taken) > self.most:
            del self._taken[next(iter(self._taken))]
