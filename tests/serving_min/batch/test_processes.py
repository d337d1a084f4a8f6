"""Several processes make the parts; any of them may be killed, and the same job again makes the rest."""

from __future__ import annotations

import multiprocessing
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from serving_min.batch.folder import Lock
from serving_min.batch.job import Plan, plan, run
from serving_min.errors import BatchError
from tests.serving_min.handmade import NOW
from tests.serving_min.process import ROOT, command

USERS, SHARD = 4_000, 40
PATIENCE = 60  # seconds


@pytest.fixture
def asked(bundles: dict[str, Path], tmp_path: Path) -> Plan:
    """A job of a hundred parts."""
    users = [{"user_id": f"user-{number}", "history": ["ABCDE"[number % 5]]} for number in range(USERS)]
    (tmp_path / "users.jsonl").write_bytes(msgspec.json.Encoder().encode_lines(users))
    out, settings = tmp_path / "out", {"surface": "recommend", "now": NOW, "k": 2, "shard": SHARD}
    return plan(bundles["vector"], tmp_path / "users.jsonl", out, **settings)


def until(seen: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def free(out: Path) -> bool:
    try:
        Lock(out).release()
    except BatchError:
        return False
    return True


def test_a_killed_process_ends_the_job_in_one_line_and_it_goes_on(asked: Plan) -> None:
    with pytest.raises(BatchError, match=r"workers: one was killed, .*; the same command goes on"):
        run(asked, workers=2, done=lambda _: multiprocessing.active_children()[0].kill())
    made = len([*asked.out.glob("part-*")])
    assert 0 < made < USERS // SHARD
    summary = run(asked)
    assert (summary.answered, summary.rows) == (USERS - made * SHARD, 2 * USERS)
    assert not [*asked.out.glob(".*.partial")]


def test_processes_end_with_the_command_that_is_killed(asked: Plan) -> None:
    words = command(asked.bundle, "--users", asked.users, "--out", asked.out, module=("serving_min.batch",))
    words += ["--surface", "recommend", "--now", str(NOW), "-k", "2", "--shard", str(SHARD), "--workers", "2"]
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(asked.part(0).exists)
    with pytest.raises(BatchError, match="another job is at work"):
        run(asked)
    process.kill()
    process.wait()
    until(lambda: free(asked.out))
    made = len([*asked.out.glob("part-*")])
    assert 0 < made < USERS // SHARD
    assert run(asked).answered == USERS - made * SHARD
