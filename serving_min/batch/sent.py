"""What was sent before: the outputs of earlier jobs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from serving_min.errors import BatchError

DAY = 86_400  # seconds


@dataclass(frozen=True)
class Sent:
    """The parts of earlier jobs' ``folders`` that were made less than ``days`` before ``now`` (epoch seconds)."""

    folders: Sequence[Path]
    days: float
    now: int

    def to(self, users: Collection[str]) -> dict[str, list[str]]:
        """What each of the ``users`` got. Raises BatchError for a folder without parts of a job."""
        wanted = pa.array(users, pa.string())
        items: dict[str, list[str]] = defaultdict(list)
        for path in self._parts():
            try:
                table = pq.read_table(path, columns=["user_id", "item_id", "now"])
            except (OSError, pa.ArrowException) as error:
                raise BatchError(f"sent: {path}: {error}") from error
            recent = pc.and_(
                pc.greater(table["now"], int(self.now - self.days * DAY)), pc.less_equal(table["now"], self.now)
            )
            table = table.filter(pc.and_(recent, pc.is_in(table["user_id"], value_set=wanted)))
            for user, item in zip(table["user_id"].to_pylist(), table["item_id"].to_pylist(), strict=True):
                items[user].append(item)
        return items

    def _parts(self) -> list[Path]:
        found = []
        for folder in self.folders:
            parts = sorted(folder.glob("part-*.parquet"))
            if not parts:
                raise BatchError(f"sent: {folder} holds no part-*.parquet of an earlier job")
            found += parts
        return found
