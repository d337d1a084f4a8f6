"""Where an inverted file keeps the items: what is alike by cosine lies in cells that lie in the same direction.

The index itself cannot say what is alike: by inner product long vectors come first.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from serving_min.content import unit

Places = NDArray[np.int64]
Numbers = NDArray[np.float32]


@dataclass(frozen=True)
class Cells:
    """L ``lists`` of places of items, and the directions [L, D] of their ``centres``. The ``probes`` lists around an
    item have the ``k`` most like it, or nearly all. Who is in ``late`` is in no list, and thus in all of them."""

    index: Any  # faiss.Index, whose memory the lists are in
    lists: tuple[Places, ...]
    centres: Numbers
    probes: int
    k: int
    late: Places = field(default_factory=lambda: np.zeros(0, np.int64))

    @classmethod
    def of(cls, index: Any, probes: int, k: int) -> Self | None:
        """None where the index has no cells."""
        import faiss

        inverted: Any = faiss.try_extract_index_ivf(index)
        if inverted is None:
            return None
        centres = faiss.downcast_index(inverted.quantizer).reconstruct_n(0, inverted.nlist)
        lists = inverted.invlists
        places = [faiss.rev_swig_ptr(lists.get_ids(cell), lists.list_size(cell)) for cell in range(inverted.nlist)]
        return cls(index, tuple(places), unit(centres), probes, k)

    def with_late(self, places: Places) -> Self:
        return replace(self, late=np.concatenate([self.late, places]))

    def around(self, direction: Numbers, k: int, share: float) -> Places | None:
        """Where those stand, in any order, that may be among the ``k`` most like a ``direction`` [D] of a ``share`` of
        all items; None where these are about all."""
        wanted = ceil(self.probes * max(1.0, k / self.k) / share)
        if 2 * wanted > len(self.lists):
            return None
        nearest = np.argpartition(self.centres @ direction, -wanted)[-wanted:]
        return np.concatenate([*(self.lists[cell] for cell in nearest.tolist()), self.late])
