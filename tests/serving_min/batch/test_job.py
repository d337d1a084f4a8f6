"""Batch jobs on the bundle of six items: what the parts hold, and what a second run does."""

from __future__ import annotations

import json
import math
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serving_min.batch.job import JOB_FILE, Plan, Summary, plan, run
from serving_min.batch.users import Users
from serving_min.bundle import Bundle
from serving_min.engine import Engine
from serving_min.errors import BatchError, UnknownSurfaceError
from serving_min.events import Batch
from serving_min.messages import Request
from serving_min.releases import Registry
from tests.serving_min.handmade import NOW, write_bundle

DAY = 86_400
USERS: list[dict[str, Any]] = [
    {"user_id": "ann", "history": ["A"]},
    {"user_id": "bob", "history": [{"item": "D", "event": "view", "time": NOW - 9}], "user": {"country": "UK"}},
    {"user_id": "cid"},
    {"user_id": "dot", "history": ["E"], "exclude": ["D"]},
    {"user_id": "eve", "history": ["Z"]},
]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("batch") / "bundle", "vector")


@pytest.fixture
def users(tmp_path: Path) -> Path:
    path = tmp_path / "users.jsonl"
    path.write_bytes(msgspec.json.Encoder().encode_lines(USERS))
    return path


def made(bundle: Path, users: Path, out: Path, **settings: Any) -> tuple[Plan, Summary]:
    asked = plan(bundle, users, out, **{"surface": "recommend", "now": NOW, "k": 2, "shard": 2, **settings})
    return asked, run(asked)


def lists(out: Path) -> dict[str, list[str]]:
    table = pq.read_table(out)  # the folder is a table, whatever else lies in it
    found: dict[str, list[str]] = {}
    for row in table.to_pylist():
        found.setdefault(row["user_id"], []).append(row["item_id"])
        assert row["rank"] == len(found[row["user_id"]])
    return found


def test_everybody_gets_what_the_engine_says(bundle: Path, users: Path, tmp_path: Path) -> None:
    _, summary = made(bundle, users, tmp_path / "out")
    engine = Engine(Bundle.load(bundle))
    fields = [{name: value for name, value in user.items() if name != "user_id"} for user in USERS]
    requests = [msgspec.convert({**user, "k": 2, "now": NOW}, Request) for user in fields]
    answers = engine.recommend(requests)
    expected = [[item.id for item in answer.items] for answer in answers]
    assert lists(tmp_path / "out") == dict(zip([user["user_id"] for user in USERS], expected, strict=True))
    rows = pq.read_table(tmp_path / "out/part-00001.parquet").to_pylist()
    assert [row["propensity"] for row in rows] == [1.0] * 4
    assert [row["fallback"] for row in rows] == ["empty history"] * 2 + [None] * 2
    assert (summary.users, summary.answered, summary.rows) == (5, 5, 10)
    assert summary.fallbacks == {"empty history": 1, "history has only unknown items": 1}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        ".lock",
        "_job.json",
        "_summary.json",
        "part-00000.parquet",
        "part-00001.parquet",
        "part-00002.parquet",
    ]


def test_what_is_drawn_has_its_propensity_and_is_drawn_again(tmp_path: Path) -> None:
    """A is there already, and little known; B gives way to C or E, as the lot says."""
    exploring = {"retrievers": [{"source": "model"}], "seen": "keep"}
    exploring["rules"] = {"exploration": {"share": 1.0, "popularity_below": 3.5}}
    bundle = write_bundle(tmp_path / "bundle", "vector", surfaces={"email": exploring})
    users = tmp_path / "users.jsonl"
    everybody = [{"user_id": f"user {number}", "history": ["A"]} for number in range(20)]
    users.write_bytes(msgspec.json.Encoder().encode_lines(everybody))
    for name, now in (("first", NOW), ("again", NOW), ("later", NOW + 1)):
        made(bundle, users, tmp_path / name, surface="email", now=now)
    first, again, later = (pq.read_table(tmp_path / name) for name in ("first", "again", "later"))
    assert first["propensity"].to_pylist() == [1.0, 0.5] * 20
    assert {tuple(items) for items in lists(tmp_path / "first").values()} == {("A", "C"), ("A", "E")}
    assert first == again
    assert first["item_id"] != later["item_id"]
    assert len({*first["request_id"].to_pylist(), *later["request_id"].to_pylist()}) == 40
    click = {"id": "1", "user": "user 0", "item": "C", "event": "click", "request_id": first["request_id"][0].as_py()}
    assert msgspec.convert({"events": [click]}, Batch).events[0].request_id == click["request_id"]


def test_parquet_and_folders_are_read_alike(bundle: Path, users: Path, tmp_path: Path) -> None:
    folder = tmp_path / "users"
    folder.mkdir()
    rows = [
        {
            **user,
            "history": [event if isinstance(event, dict) else {"item": event} for event in user.get("history", [])],
        }
        for user in USERS
    ]
    event = pa.struct([("item", pa.string()), ("event", pa.string()), ("time", pa.int64())])
    schema = pa.schema(
        [
            ("user_id", pa.string()),
            ("history", pa.list_(event)),
            ("user", pa.map_(pa.string(), pa.string())),
            ("exclude", pa.list_(pa.string())),
            ("shoe_size", pa.int64()),
        ]
    )
    rows = [{**row, "user": [*row.get("user", {}).items()]} for row in rows]
    pq.write_table(pa.Table.from_pylist(rows[:3], schema), folder / "1.parquet", row_group_size=2)
    pq.write_table(pa.Table.from_pylist(rows[3:], schema), folder / "2.parquet")
    made(bundle, users, tmp_path / "lines")
    made(bundle, folder, tmp_path / "tables", shard=3)
    assert lists(tmp_path / "lines") == lists(tmp_path / "tables")
    assert [user.user_id for user in Users(folder).rows(1, 4)] == ["bob", "cid", "dot"]


def test_a_job_goes_on_with_what_is_missing_and_ends_with_the_same_bytes(
    bundle: Path, users: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    asked, _ = made(bundle, users, out)
    before = {path.name: path.read_bytes() for path in out.glob("part-*")}
    asked.part(1).unlink()
    (out / ".part-00002.parquet.9.partial").write_bytes(b"half")
    again = plan(bundle, users, out, surface="recommend", k=2, shard=2)  # without `now`: that of the job begun
    summary = run(again)
    assert (summary.answered, summary.users, sum(summary.fallbacks.values())) == (2, 5, 2)
    assert {path.name: path.read_bytes() for path in out.glob("part-*")} == before
    assert not [*out.glob(".*.partial")]
    with pytest.raises(BatchError, match=r"holds a job with k 2; give another folder"):
        made(bundle, users, out, k=3)
    users.write_bytes(users.read_bytes() + b'{"user_id": "new"}\n')
    with pytest.raises(BatchError, match="holds a job with users"):
        made(bundle, users, out)


def test_nobody_gets_again_what_was_sent_of_late(bundle: Path, users: Path, tmp_path: Path) -> None:
    made(bundle, users, tmp_path / "monday")
    sent = lists(tmp_path / "monday")
    again: dict[str, Any] = {"sent": [tmp_path / "monday"], "days": 3}
    made(bundle, users, tmp_path / "tuesday", now=NOW + DAY, **again)
    for user, items in lists(tmp_path / "tuesday").items():
        assert not {*items} & {*sent[user]}
    made(bundle, users, tmp_path / "friday", now=NOW + 4 * DAY, **again)
    assert lists(tmp_path / "friday") == sent


def test_several_processes_make_the_same(bundle: Path, users: Path, tmp_path: Path) -> None:
    made(bundle, users, tmp_path / "one", shard=3)
    asked = plan(bundle, users, tmp_path / "two", surface="recommend", now=NOW, k=2, shard=3)
    told: list[int] = []
    assert run(asked, workers=2, done=told.append).answered == sum(told) == 5
    for name in ("part-00000.parquet", "part-00001.parquet"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"{", "users.jsonl, line 1"),
        (b" ", "users.jsonl, line 1: is blank; a line is a user"),
        (b'{"user_id": "\xff"}', "users.jsonl, line 1: 'utf-8' codec"),
        (b'{"history": []}', "user 1: Object missing required field `user_id`"),
        (b'{"user_id": "a", "history": [3]}', "user 1: Expected `str | object`, got `int` - at `$.history[0]`"),
    ],
)
def test_who_is_no_user(bundle: Path, tmp_path: Path, line: bytes, says: str) -> None:
    users = tmp_path / "users.jsonl"
    users.write_bytes(line + b"\n")
    with pytest.raises(BatchError) as raised:
        made(bundle, users, tmp_path / "out")
    assert says in str(raised.value)
    assert not [*(tmp_path / "out").glob("part-*.parquet")]


def test_jobs_that_cannot_be(bundle: Path, users: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownSurfaceError, match="no surface 'window'"):
        made(bundle, users, tmp_path / "a", surface="window")
    with pytest.raises(BatchError, match=r"Expected `int` >= 1 - at `\$\.k`"):
        made(bundle, users, tmp_path / "b", k=0)
    with pytest.raises(BatchError, match="0 days repeat all that was sent"):
        made(bundle, users, tmp_path / "c", sent=[tmp_path])
    with pytest.raises(BatchError, match="7 days of nothing; say what was sent: --sent EARLIER_LISTS"):
        made(bundle, users, tmp_path / "c", days=7)
    for days in (-1, 36_501, 1e300, math.inf, math.nan):
        with pytest.raises(BatchError, match=r"not-again-days: \S+ is no number of days from 0 to 36,500"):
            made(bundle, users, tmp_path / "c", sent=[tmp_path], days=days)
    with pytest.raises(BatchError, match=r"holds no part-\*\.parquet"):
        made(bundle, users, tmp_path / "d", sent=[tmp_path], days=1)
    with pytest.raises(BatchError, match="is not empty, and holds no job"):
        made(bundle, users, tmp_path)
    with pytest.raises(BatchError, match=r"users\.jsonl cannot be written to: File exists; give another folder"):
        made(bundle, users, users)
    with pytest.raises(BatchError, match=r"is no \.parquet or \.jsonl file"):
        made(bundle, tmp_path / "nobody", tmp_path / "e")


def test_a_part_that_is_damaged_and_one_that_was_not_begun(bundle: Path, users: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "._job.json.9.partial").write_bytes(b"{")  # killed while it was written
    asked, _ = made(bundle, users, out)
    asked.part(1).write_bytes(b"PAR1")
    with pytest.raises(BatchError, match=f"out: {asked.part(1)}: .*; delete it, and the same command makes it again"):
        run(asked)
    asked.part(1).unlink()
    assert run(asked).answered == 2


def test_a_full_disk(bundle: Path, users: Path, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))  # holds the job's description, but no part
    try:
        with pytest.raises(BatchError, match=r"out: .*part-00000\.parquet: .*File too large"):
            made(bundle, users, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".lock", "_job.json"]


def test_the_live_bundle_of_a_registry(bundle: Path, users: Path, tmp_path: Path) -> None:
    Registry(tmp_path / "releases").promote(bundle)
    assert plan(tmp_path / "releases", users, tmp_path / "out", surface="email").bundle == bundle
    assert not (tmp_path / "out").exists()


def test_the_command(bundle: Path, users: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "serving_min.batch", bundle, "--users", users, "--out", out, "--now", str(NOW)]
    told = subprocess.run([*command, "--surface", "recommend", "-k", "1"], capture_output=True, text=True, timeout=60)
    assert (told.returncode, told.stderr) == (0, "")
    first, last = told.stdout.splitlines()
    assert first.startswith("5 users, 5 rows; 5 users answered now, ")
    assert last == "fallback: empty history (1 users), history has only unknown items (1 users)"
    assert json.loads((out / JOB_FILE).read_bytes())["now"] == NOW
    told = subprocess.run([*command, "--surface", "recommend", "-k", "1"], capture_output=True, text=True, timeout=60)
    assert told.stdout.startswith("5 users, 5 rows; 0 users answered now\n")
    told = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert told.returncode == 2
    assert told.stderr.startswith("serving_min.batch: out: ")
    assert told.stderr.count("\n") == 1
