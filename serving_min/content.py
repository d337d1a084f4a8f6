"""What a catalogue entry says, as numbers: the same for the lab's items and for one that is new today."""

from __future__ import annotations

import math
import re
import unicodedata
from bisect import bisect_right
from collections import Counter
from functools import cached_property
from itertools import count

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

BAR = "|"  # between the categories of an item that has several
WORD = re.compile(r"\b\w\w+\b")


class Entry(Struct, frozen=True):
    """An item of the catalogue; what is not known is blank."""

    title: str = ""
    text: str = ""
    category: str = ""  # "a|b" is both
    brand: str = ""
    price: float | None = None
    text_vector: tuple[float, ...] = ()  # of title and text, by the sentence model that the training used
    image_vector: tuple[float, ...] = ()


class ContentSpace(Struct, frozen=True, dict=True):
    """One column per word, category, brand and price bucket, in this order.

    ``words`` gives the inverse document frequency of each word. A weight is the length of its part
    where that of the words is 1; a whole row has length 1, so inner products are cosines.
    """

    words: dict[str, float]
    categories: tuple[str, ...]
    brands: tuple[str, ...]
    price_edges: tuple[float, ...] | None  # between the buckets; None where the shop has no price
    category_weight: float
    brand_weight: float
    price_weight: float

    @property
    def size(self) -> int:
        buckets = 0 if self.price_edges is None else len(self.price_edges) + 1
        return len(self.words) + len(self.categories) + len(self.brands) + buckets

    def row(self, entry: Entry) -> dict[int, float]:
        """Value by column, where it is not zero; nothing for an entry that says nothing known."""
        columns = self._columns
        words = Counter(word for word in words_of(entry) if word in self.words)
        categories = [columns[0, name] for name in categories_of(entry) if (0, name) in columns]
        brands = [columns[1, name] for name in [entry.brand.strip()] if (1, name) in columns]
        parts = [
            (1.0, {columns[None, word]: (1 + math.log(n)) * self.words[word] for word, n in words.items()}),
            (self.category_weight, dict.fromkeys(categories, 1.0)),
            (self.brand_weight, dict.fromkeys(brands, 1.0)),
            (self.price_weight, dict.fromkeys(self._bucket(entry.price), 1.0)),
        ]
        row: dict[int, float] = {}
        for weight, part in parts:
            length = math.hypot(*part.values())
            row |= {column: weight * value / length for column, value in part.items() if weight}
        length = math.hypot(*row.values())
        return {column: value / length for column, value in row.items()}

    def _bucket(self, price: float | None) -> list[int]:
        """The column of the price's bucket, if there is one."""
        if price is None or not math.isfinite(price) or self.price_edges is None:
            return []
        return [self.size - len(self.price_edges) - 1 + bisect_right(self.price_edges, price)]

    @cached_property
    def _columns(self) -> dict[tuple[int | None, str], int]:
        names = [
            (kind, name) for kind, part in ((None, self.words), (0, self.categories), (1, self.brands)) for name in part
        ]
        return dict(zip(names, count(), strict=False))


def words_of(entry: Entry) -> list[str]:
    """The words of two letters or more, without capitals and accents, in order."""
    plain = unicodedata.normalize("NFKD", f"{entry.title} {entry.text}".lower())
    return WORD.findall("".join(letter for letter in plain if not unicodedata.combining(letter)))


def categories_of(entry: Entry) -> list[str]:
    return sorted({*categories_in(entry.category)} - {""})


def categories_in(label: str) -> list[str]:
    """Those that a shop's text for an item names, each once: "a|b" is a and b."""
    return list(dict.fromkeys(part.strip() for part in label.split(BAR)))


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length 1, [N, D]; those of zeros stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return scaled
