"""What rules know of the items, in the server and in the lab alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from serving_min.composite import Composite
from serving_min.content import categories_in
from serving_min.items import Items, Labels
from serving_min.queries import offsets_of
from serving_min.rerank.found import Codes
from serving_min.vectors import Vectors

if TYPE_CHECKING:
    from serving_min.bundle import Bundle


@dataclass(frozen=True)
class Facts:
    """``popularity`` [I] are the fallback's scores; ``vectors`` gives rows [n, D] for item codes [n], zeros
    where an item has none (None: this model has no vectors)."""

    items: Items
    popularity: NDArray[np.float32]
    vectors: Callable[[Codes], NDArray[np.float32]] | None = None

    @classmethod
    def of(cls, bundle: Bundle) -> Facts:
        """Of a hybrid or a ranker, the vectors are those of its first member that has some."""
        members = bundle.model.members if isinstance(bundle.model, Composite) else (bundle.model,)
        vectors = next((member.of for member in members if isinstance(member, Vectors)), None)
        return cls(bundle.items, bundle.popularity, vectors)

    @cached_property
    def mix(self) -> CategoryMix | None:
        """None where the shop has no categories."""
        return None if self.items.category is None else CategoryMix.of(self.items.category)


@dataclass(frozen=True)
class CategoryMix:
    """The categories of each item, in equal shares where its label names several with bars between (CSR by label;
    the last row, of code -1, is empty)."""

    labels: NDArray[np.int32]  # [I]
    offsets: NDArray[np.int64]  # [labels + 2]
    parts: NDArray[np.int32]
    n_parts: int

    @classmethod
    def of(cls, category: Labels) -> CategoryMix:
        split = [categories_in(name) for name in category.names]
        names = sorted({part for parts in split for part in parts})
        position = {name: code for code, name in enumerate(names)}
        lengths = [*map(len, split), 0]
        return cls(
            category.codes,
            offsets_of(np.array(lengths, np.int64)),
            np.array([position[part] for parts in split for part in parts], np.int32),
            len(names),
        )

    def entries(self, labels: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]:
        """The rows (places in ``labels``), categories and shares of a sparse matrix; a row sums to 1, or to 0 where the
        label is unknown."""
        labels = np.where(labels < 0, len(self.offsets) - 2, labels)
        starts = self.offsets[labels]
        lengths = self.offsets[labels + 1] - starts
        rows = np.repeat(np.arange(len(labels)), lengths)
        ends = lengths.cumsum()
        places = np.arange(len(rows)) + np.repeat(starts - ends + lengths, lengths)
        return rows, self.parts[places], 1 / lengths[rows]

    def wanted(self, history: Codes) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The categories of a history, and the share p of each; they sum to 1. Both are empty where none is known."""
        _, parts, shares = self.entries(self.labels[history])
        weights = np.bincount(parts, shares, self.n_parts)
        mine = np.flatnonzero(weights)
        return mine, weights[mine] / weights[mine].sum()

    def shares(self, labels: NDArray[np.int32], among: NDArray[np.int64]) -> NDArray[np.float64]:
        """How much of each label belongs to each of the categories ``among``, [n, A]."""
        column = np.full(self.n_parts, -1)
        column[among] = np.arange(len(among))
        rows, parts, shares = self.entries(labels)
        columns = column[parts]
        known = columns >= 0
        table = np.zeros((len(labels), len(among)))
        table[rows[known], columns[known]] = shares[known]
        return table
