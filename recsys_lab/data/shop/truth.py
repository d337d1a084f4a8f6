"""What the shop was made from, kept so that tests can ask whether a model found it."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys_lab.errors import SourceError


@dataclass(frozen=True)
class Truth:
    """Arrays by item, user and raw event, with everything else in ``facts``.

    Row i is item ``facts["item_ids"][i]``, row u is user ``facts["user_ids"][u]``; these are the
    generator's codes, not those of a prepared log. Taste moves on a straight line over the period.
    """

    item_vectors: NDArray[np.float64]  # [I, D]
    item_appeal: NDArray[np.float64]  # [I] log-popularity on its shelf
    item_trend: NDArray[np.float64]  # [I] what the period adds to it
    item_dearness: NDArray[np.float64]  # [I] log-price against the shelf's, in standard deviations
    item_shelf: NDArray[np.int64]  # [I] index in facts["shelves"]
    item_successor: NDArray[np.int64]  # [I] next step of the line, -1 = none
    item_available_until: NDArray[np.int64]  # [I] epoch seconds
    taste_start: NDArray[np.float64]  # [U, D]
    taste_end: NDArray[np.float64]  # [U, D]
    user_segment: NDArray[np.int64]  # [U]
    user_activity: NDArray[np.float64]  # [U] relative to the median
    user_thrift: NDArray[np.float64]  # [U] price sensitivity
    event_reason: NDArray[np.int8]  # [N] by row_id: index in facts["reasons"]
    facts: dict[str, Any]

    def liking(
        self, users: NDArray[np.int64], items: NDArray[np.int64], times: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """How much each user likes the item at the time (epoch seconds), [N]: about standard normal."""
        share = (times - self.facts["start"]) / (self.facts["end"] - self.facts["start"])
        taste = self.taste_start[users] * (1 - share)[:, None] + self.taste_end[users] * share[:, None]
        fit: NDArray[np.float64] = np.einsum("nd,nd->n", taste, self.item_vectors[items])
        return fit - 0.5 * self.user_thrift[users] * self.item_dearness[items]

    def save(self, folder: Path) -> None:
        """Write ``truth.npz`` and ``truth.json``."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "facts"}
        with (folder / "truth.npz.part").open("wb") as file:
            np.savez_compressed(file, **arrays)
        (folder / "truth.npz.part").replace(folder / "truth.npz")
        (folder / "truth.json.part").write_text(json.dumps(self.facts, indent=1))
        (folder / "truth.json.part").replace(folder / "truth.json")

    @classmethod
    def load(cls, folder: Path) -> Truth:
        """Raises SourceError when the folder's data did not come from the shop."""
        if not (folder / "truth.npz").is_file():
            raise SourceError(f"{folder}: no truth.npz here; only data prepared from the shop has a known truth")
        with np.load(folder / "truth.npz", allow_pickle=False) as arrays:
            return cls(**arrays, facts=json.loads((folder / "truth.json").read_text()))
