"""From users to a part: their lists as rows."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from serving_min.asks import Asked
from serving_min.batch.folder import whole
from serving_min.batch.sent import Sent
from serving_min.batch.users import User, Users
from serving_min.bundle import Bundle
from serving_min.engine import Engine, Served
from serving_min.messages import Request

if TYPE_CHECKING:
    from serving_min.batch.job import Job, Plan

TOGETHER = 256  # users that the engine answers in one call
SCHEMA = pa.schema(
    [
        ("user_id", pa.string()),
        ("rank", pa.int32()),
        ("item_id", pa.string()),
        ("score", pa.float64()),
        ("propensity", pa.float64()),
        ("reason", pa.string()),
        ("fallback", pa.string()),
        ("surface", pa.string()),
        ("model", pa.string()),
        ("model_version", pa.string()),
        ("now", pa.int64()),
        ("request_id", pa.string()),
    ]
)


class Maker:
    """Makes parts, in one process and on one core."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.users = Users(plan.users)
        self.sent = Sent([*map(Path, plan.job.sent)], plan.job.days, plan.job.now)
        self.engine = Engine(Bundle.load(plan.bundle), clock=lambda: plan.job.now)
        self.engine.own_this_thread()

    def make(self, number: int) -> float:
        """The CPU seconds that it took. The part is there when it is whole, not before."""
        began, job = time.process_time(), self.plan.job
        rows = [*self.users.rows(number * job.shard, (number + 1) * job.shard)]
        sent = self.sent.to([row.user_id for row in rows])
        with whole(self.plan.part(number)) as partial, pq.ParquetWriter(partial, SCHEMA) as writer:
            remaining = iter(rows)
            while together := [*islice(remaining, TOGETHER)]:
                asked = [Asked(self._request(user, sent.get(user.user_id, [])), job.surface) for user in together]
                writer.write_table(_table(together, self.engine.answer(asked), job))
        return time.process_time() - began

    def _request(self, user: User, sent: list[str]) -> Request:
        return Request(
            history=user.history,
            user=user.user,
            exclude=[*user.exclude, *sent],
            k=self.plan.job.k,
            now=self.plan.job.now,
            request_id=request_id(self.plan.job, user.user_id),
        )


def request_id(job: Job, user_id: str) -> str:
    """What the lot is drawn by, so a surface draws the same for a user at the same ``now``; and what clicks on the list
    are reported with, so it is short and holds no user's id."""
    asked = f"{job.surface}\n{job.now}\n{user_id}"
    return blake2b(asked.encode(), digest_size=16).hexdigest()


def _table(users: Sequence[User], served: Sequence[Served], job: Job) -> pa.Table:
    answers = [one.answer for one in served]
    lengths = [len(answer.items) for answer in answers]
    shown = [item for answer in answers for item in answer.items]
    chances = [one.ranked.propensity[:length] for one, length in zip(served, lengths, strict=True)]
    size = len(shown)

    def each(values: Iterable[str | None]) -> list[str | None]:
        """What a list has once, in all of its rows."""
        return [value for value, length in zip(values, lengths, strict=True) for _ in range(length)]

    columns: list[Any] = [
        each(user.user_id for user in users),
        [rank for length in lengths for rank in range(1, length + 1)],
        [item.id for item in shown],
        [item.score for item in shown],
        np.concatenate(chances),
        [item.reason for item in shown],
        each(answer.fallback for answer in answers),
        *([value] * size for value in (job.surface, job.bundle, job.version, job.now)),
        each(answer.request_id for answer in answers),
    ]
    return pa.table([pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)], SCHEMA)
