"""One job: a list for each user, in shards that appear whole. A job that was killed goes on where it stopped."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec import Meta, Struct

from serving_min.batch.folder import Lock, alone, whole
from serving_min.batch.making import Maker
from serving_min.batch.processes import made
from serving_min.batch.users import Users
from serving_min.errors import BatchError
from serving_min.manifest import read_manifest
from serving_min.messages import DEFAULT_K, MOST_ITEMS, EpochSeconds
from serving_min.releases import live_bundle

JOB_FILE, SUMMARY_FILE = "_job.json", "_summary.json"  # readers of Parquet pass over names like these
SHARD = 50_000  # users in a part
MOST_DAYS = 36_500  # nobody remembers longer
Positive = Annotated[int, Meta(ge=1)]


class Job(Struct, frozen=True, forbid_unknown_fields=True):
    """``_job.json``: what a folder of lists was made from. ``shard`` is how many users a part holds, ``users`` the
    sha256 of who they are; nobody gets what they got within ``days`` before ``now`` by the jobs in ``sent``."""

    bundle: str
    version: str
    surface: str
    users: str
    now: EpochSeconds
    k: Annotated[int, Meta(ge=1, le=MOST_ITEMS)] = DEFAULT_K
    shard: Positive = SHARD
    sent: tuple[str, ...] = ()
    days: Annotated[float, Meta(ge=0, le=MOST_DAYS)] = 0


@dataclass(frozen=True)
class Summary:
    """``_summary.json``. ``fallbacks`` counts, by the reason, the users whose lists are not all the surface's own. The
    seconds are those that this run took, for the users that it answered."""

    users: int
    rows: int
    fallbacks: dict[str, int]
    answered: int
    cpu_seconds: float
    users_per_cpu_second: float | None

    def __str__(self) -> str:
        """Two lines at most: how many, and how many got a fallback."""
        speed = f", {self.users_per_cpu_second:,.0f} users a CPU second" if self.users_per_cpu_second else ""
        said = f"{self.users:,} users, {self.rows:,} rows; {self.answered:,} users answered now{speed}"
        reasons = ", ".join(f"{reason} ({count:,} users)" for reason, count in self.fallbacks.items())
        return said + (f"\nfallback: {reasons}" if reasons else "")


@dataclass(frozen=True)
class Plan:
    """A job and where it happens."""

    job: Job
    bundle: Path
    users: Path
    out: Path

    def part(self, number: int) -> Path:
        return self.out / f"part-{number:05d}.parquet"


def plan(
    bundle: Path,
    users: Path,
    out: Path,
    *,
    surface: str,
    now: int | None = None,
    k: int = DEFAULT_K,
    shard: int = SHARD,
    sent: Sequence[Path] = (),
    days: float = 0,
    clock: Callable[[], float] = time.time,
) -> Plan:
    """A new job, or the one that was begun in ``out``, if it is the same; ``now`` is then the time it was begun with.

    ``bundle`` is a bundle's folder or a registry's. Raises BatchError when ``out`` holds another job and when a user
    stands there twice, BundleError for what is no bundle, ReleaseError for a registry that names none.
    """
    _must_make_sense(sent, days)
    bundle = live_bundle(bundle)
    manifest = read_manifest(bundle)
    begun = _begun(out)
    who = Users(users)
    who.check()
    asked = {
        "bundle": manifest.name,
        "version": manifest.version,
        "surface": surface,
        "users": who.fingerprint(),
        "now": now if now is not None else begun.now if begun else int(clock()),
        "k": k,
        "shard": shard,
        "sent": [*map(str, sent)],
        "days": days,
    }
    try:
        job = msgspec.convert(asked, Job)
    except msgspec.ValidationError as error:
        raise BatchError(f"batch: {error}") from error
    _must_be(job, begun, out)
    return Plan(job, bundle, users, out)


def run(plan: Plan, *, workers: int = 1, done: Callable[[int], None] = lambda _: None) -> Summary:
    """Make the parts that are missing; ``done`` is told how many users each of them was for.

    Raises BatchError for a row that is no user, and when another job is at work in the folder, or has been begun there
    meanwhile; RequestError and UnknownSurfaceError for a surface that cannot answer.
    """
    with alone(plan.out) as lock:
        _begin(plan)
        count, shard = len(Users(plan.users)), plan.job.shard
        missing = [number for number in range(-(-count // shard)) if not plan.part(number).exists()]
        answered, seconds = 0, 0.0
        for number, spent in _made(plan, missing, workers, lock):
            users = min(shard, count - number * shard)
            answered, seconds = answered + users, seconds + spent
            done(users)
        rows, fallbacks = _counted(plan.out)
        speed = round(answered / seconds, 1) if seconds else None
        summary = Summary(count, rows, fallbacks, answered, round(seconds, 2), speed)
        _write(plan.out / SUMMARY_FILE, summary)
    return summary


def _made(plan: Plan, missing: Sequence[int], workers: int, lock: Lock) -> Iterator[tuple[int, float]]:
    """The number of each part made, and its CPU seconds."""
    if workers == 1 or len(missing) < 2:
        maker = Maker(plan)
        yield from ((number, maker.make(number)) for number in missing)
        return
    lock.share()
    yield from zip(missing, made(plan, missing, workers), strict=True)


def _counted(out: Path) -> tuple[int, dict[str, int]]:
    """The rows of all parts, and the users by their fallbacks, the most frequent first."""
    rows, fallbacks = 0, Counter[str]()
    for path in sorted(out.glob("part-*.parquet")):
        try:
            part = pq.read_table(path, columns=["rank", "fallback"])
        except (OSError, pa.ArrowException) as error:
            raise BatchError(f"out: {path}: {error}; delete it, and the same command makes it again") from error
        rows += len(part)
        fallbacks.update(part.filter(pc.field("rank") == 1)["fallback"].drop_null().to_pylist())
    return rows, dict(fallbacks.most_common())


def _begin(plan: Plan) -> None:
    """Write down what is made here, unless it was begun before."""
    begun = _begun(plan.out)
    _must_be(plan.job, begun, plan.out)
    if begun is None:
        _write(plan.out / JOB_FILE, plan.job)


def _must_make_sense(sent: Sequence[Path], days: float) -> None:
    """Raises BatchError for days that are none, and where either says nothing without the other."""
    if not 0 <= days <= MOST_DAYS:  # NaN neither
        raise BatchError(f"not-again-days: {days:g} is no number of days from 0 to {MOST_DAYS:,}")
    if sent and not days:
        raise BatchError("not-again-days: 0 days repeat all that was sent; say how many")
    if days and not sent:
        raise BatchError(f"not-again-days: {days:g} days of nothing; say what was sent: --sent EARLIER_LISTS")


def _must_be(job: Job, begun: Job | None, out: Path) -> None:
    if begun is not None and begun != job:
        names = [name for name in Job.__struct_fields__ if getattr(begun, name) != getattr(job, name)]
        was = ", ".join(f"{name} {getattr(begun, name)!r}" for name in names)
        raise BatchError(f"out: {out} holds a job with {was}; give another folder, or the same settings")


def _begun(out: Path) -> Job | None:
    """The job of which some part is done."""
    path = out / JOB_FILE
    try:
        if not path.exists():
            if out.is_dir() and any(not file.name.startswith(".") for file in out.iterdir()):
                raise BatchError(f"out: {out} is not empty, and holds no job; give a folder of its own")
            return None
        if not any(out.glob("part-*.parquet")):
            return None
        return msgspec.json.decode(path.read_bytes(), type=Job)
    except (msgspec.DecodeError, OSError) as error:
        raise BatchError(f"out: {path}: {error}") from error


def _write(path: Path, content: Job | Summary) -> None:
    with whole(path) as partial:
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
