"""Which of several takes a request: always the same for a user, in the proportions asked for.

Weighted rendezvous hashing (Schindelhauer & Schomaker, "Weighted distributed hash tables", SPAA 2005, logarithmic
method): when a share grows or somebody leaves, only the users concerned move.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from hashlib import blake2b

BITS = 52  # as many as a float between 0 and 1 tells apart, with a half to spare


def place(key: str, name: str) -> float:
    """A number between 0 and 1, both excluded, that is the same for the same key and name, and else independent."""
    digest = blake2b(f"{name}\0{key}".encode(errors="surrogatepass"), digest_size=8).digest()
    return ((int.from_bytes(digest, "big") >> (64 - BITS)) + 0.5) / (1 << BITS)


def chosen(key: str, weights: Mapping[str, float]) -> str:
    """One of the names; over all keys each is chosen in proportion to its weight. Some weight must be positive."""
    if len(weights) == 1:
        return next(iter(weights))
    return max(weights, key=lambda name: weights[name] / -math.log(place(key, name)))
