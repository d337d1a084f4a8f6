"""``python -m serving_min.batch BUNDLE --users FILE --out FOLDER``: a list for each user."""

from __future__ import annotations

import sys
from pathlib import Path

from serving_min.batch.job import SHARD, plan, run
from serving_min.command_line import Parser
from serving_min.errors import ServingError
from serving_min.messages import DEFAULT_K


def main() -> int:
    parser = Parser("serving_min.batch", "A list for each user.")
    parser.add_argument("bundle", type=Path, help="the folder that `recsys-lab export` wrote, or a registry's")
    parser.add_argument("--users", type=Path, required=True, help="a .parquet or .jsonl file, or a folder of them")
    parser.add_argument("--out", type=Path, required=True, help="a folder of its own; the same again goes on")
    parser.add_argument("--surface", default="email", help="which surface makes the lists (default %(default)s)")
    parser.add_argument("-k", type=int, default=DEFAULT_K, help="items for each user (default %(default)s)")
    parser.add_argument("--sent", type=Path, action="append", default=[], help="an earlier job's folder; repeatable")
    parser.add_argument("--not-again-days", type=float, default=0, help="leave out what --sent sent so recently")
    parser.add_argument("--now", type=int, help="epoch seconds (default: the clock, when the job is begun)")
    parser.add_argument("--shard", type=int, default=SHARD, help="users in one part (default %(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="processes (default %(default)s)")
    given = parser.parse_args()
    try:
        job = plan(
            given.bundle,
            given.users,
            given.out,
            surface=given.surface,
            now=given.now,
            k=given.k,
            shard=given.shard,
            sent=given.sent,
            days=given.not_again_days,
        )
        summary = run(job, workers=max(1, given.workers))
    except ServingError as error:
        sys.stderr.write(f"serving_min.batch: {error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    sys.stdout.write(f"{summary}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
