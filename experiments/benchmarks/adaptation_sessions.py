"""Test sessions of two data sets, and the bundles that answer them: what ``adaptation`` replays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recsys_lab import pipeline
from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.fold import Fold
from recsys_lab.data.log import InteractionLog
from recsys_lab.export.bundle import write_bundle
from recsys_lab.models.base import Recommender
from serving_min.queries import Queries

FINGERPRINTS = {"data": "replay", "split": "replay", "config": "replay"}
LONGEST = 30  # events of a session that are replayed


@dataclass(frozen=True)
class Step:
    """An event; where ``among`` is given it is asked for first: which of these items, in the order in which they were
    shown. ``asked`` says whether it is to be predicted at all."""

    item: str
    event: str
    time: int
    asked: bool
    among: tuple[str, ...] = ()


@dataclass(frozen=True)
class Session:
    """``past`` is the history when it begins, as the body of a request has it."""

    user: str
    past: list[dict[str, Any]]
    steps: list[Step]


def shop(folder: Path, model: str, limit: int, overrides: Sequence[str]) -> tuple[Path, list[Session]]:
    """The generated shop: the first session after the cutoff of at most ``limit`` users with a history."""
    config = pipeline.compose(["data=shop", f"model={model}", f"paths.prepared={folder}/prepared", *overrides])
    dataset = pipeline.prepare(config)
    split = pipeline.make_split(config, dataset)
    fold, log = split.test, dataset.log
    bundle = _bundle(pipeline.fit(config, split), fold, folder, f"shop-{model}", {})
    ids, known = dataset.catalogue.ids, set(fold.catalogue.ids)
    sessions = []
    for user in np.unique(log.users[log.times >= fold.cutoff]).tolist():
        mine = slice(log.offsets[user], log.offsets[user + 1])
        items, times, numbers = ids[log.items[mine]], log.times[mine], log.sessions[mine]
        kinds = [log.event_names[code] for code in log.events[mine]]
        begins = int(np.searchsorted(times, fold.cutoff))
        here = np.flatnonzero(numbers == numbers[begins])
        if not begins or here[0] < begins or len(here) < 2:
            continue
        past = [{"item": items[n], "event": kinds[n], "time": int(times[n])} for n in range(begins)]
        touched, steps = set(items[:begins]), []
        for n in here[:LONGEST].tolist():
            steps.append(Step(items[n], kinds[n], int(times[n]), items[n] in known and items[n] not in touched))
            touched.add(items[n])
        sessions.append(Session(f"u{user}", past, steps))
    return bundle, _sample(sessions, limit)


def trivago(
    folder: Path,
    path: Path,
    model: Recommender,
    limit: int,
    *,
    surfaces: dict[str, Any],
    part: tuple[float, float] = (0.7, 1.0),
) -> tuple[Path, list[Session]]:
    """trivago: the sessions that begin in ``part`` of the day, by their order, and a bundle of those before."""
    table = pd.read_parquet(path / "sessions_day1.parquet").sort_values(["session_id", "step"], kind="stable")
    table = table[table["reference"].str.fullmatch(r"\d+")]  # the others are cities, filters, orders
    hotels = sorted({*table["reference"], *table["impressions"].dropna().str.split("|").explode()})
    starts = table.groupby("session_id")["timestamp"].transform("min")
    cutoff, end = np.quantile(starts.groupby(table["session_id"]).first(), part).astype(int).tolist()
    before, after = table[table["timestamp"] < cutoff], table[(starts >= cutoff) & (starts <= end)]
    bundle = _bundle(*_fitted(model, hotels, before, after, cutoff), folder, "trivago", surfaces)
    sessions = []
    for name, rows in after.groupby("session_id", sort=False):
        steps = []
        for row in rows.head(LONGEST).itertuples():
            shown = tuple(dict.fromkeys(row.impressions.split("|"))) if row.action_type == "clickout item" else ()
            kind = "click" if row.action_type == "clickout item" else "view"
            steps.append(
                Step(row.reference, kind, row.timestamp, row.reference in shown[:25] and len(shown) > 1, shown)
            )
        if any(step.asked for step in steps):
            sessions.append(Session(str(name), [], steps))
    return bundle, _sample(sessions, limit)


def _fitted(
    model: Recommender, ids: list[str], before: pd.DataFrame, after: pd.DataFrame, cutoff: int
) -> tuple[Recommender, Fold]:
    """The model of the log ``before``, one user a session, and a fold whose queries are the sessions ``after``."""
    code = {item: position for position, item in enumerate(ids)}
    kinds = (before["action_type"] == "clickout item").to_numpy(np.int8)
    log = InteractionLog.from_events(
        before["session_id"].factorize()[0].astype(np.int32),
        before["reference"].map(code).to_numpy(np.int32),
        before["timestamp"].to_numpy(np.int64),
        n_items=len(ids),
        events=kinds,
        event_names=("view", "click"),
    )
    histories = [[code[item] for item in rows] for _, rows in after.groupby("session_id")["reference"]]
    times = [rows.tolist() for _, rows in after.groupby("session_id")["timestamp"]]
    now = [stamps[-1] for stamps in times]
    queries = Queries.from_histories(histories, times=times, now=now, event_names=log.event_names)
    size, nothing = len(histories), np.zeros(0, np.int32)
    fold = Fold(
        train=log,
        catalogue=Catalogue.of_ids(ids),
        queries=queries,
        users=np.arange(size, dtype=np.int32),
        target_offsets=np.zeros(size + 1, np.int64),
        target_items=nothing,
        n_targets=np.zeros(size, np.int64),
        target_times=np.zeros(size, np.int64),
        cutoff=cutoff,
    )
    return model.fit(log, catalogue=fold.catalogue), fold


def _bundle(model: Recommender, fold: Fold, folder: Path, name: str, surfaces: dict[str, Any]) -> Path:
    return write_bundle(
        model,
        folder=folder / "bundles",
        name=name,
        version="1",
        fold=fold,
        exclude_seen=True,
        fingerprints=FINGERPRINTS,
        metrics={},
        settings={**pipeline.compose([])["export"], "surfaces": surfaces},
        created=datetime.now(UTC),
    )


def _sample(sessions: list[Session], limit: int) -> list[Session]:
    rows = np.random.default_rng(7).permutation(len(sessions))[:limit]
    return [sessions[row] for row in np.sort(rows)]
