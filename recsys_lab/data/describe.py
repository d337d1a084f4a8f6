"""One page about a data set, before any model: how much, how skewed, how new, how clean."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys_lab.data.dataset import Dataset
from recsys_lab.data.log import InteractionLog
from recsys_lab.data.moments import iso
from recsys_lab.data.quality import DAY, warnings

if TYPE_CHECKING:
    from rich.console import Console

TOP_PERCENTS = (1, 5, 10, 20, 50)
QUANTILES = (0, 10, 25, 50, 75, 90, 99, 100)
NEWEST = 0.1  # of the log's time counts as its end


@dataclass(frozen=True)
class Stage:
    """An event type: ``users`` have it, which is ``of_all`` users; ``of_previous`` of the users with
    the type before it have it too (None for the first)."""

    event: str
    events: int
    users: int
    of_all: float
    of_previous: float | None


@dataclass(frozen=True)
class Description:
    """``density`` is the share of user × item pairs with an event, among items that have any.

    ``top_shares`` says what share of the events is on the most popular x percent of the items with
    events, ``gini`` is 0 when all items are equally popular and near 1 when one has it all.
    ``history_lengths`` are percentiles of events per user. ``cold`` shares are about the last tenth
    of the log's time: items and users first seen there, and its events on such items. ``first`` and
    ``last`` are None for data without a clock, and ``cold`` is empty then.
    """

    name: str
    fingerprint: str
    counts: dict[str, int]
    density: float
    first: str | None
    last: str | None
    days: float | None
    top_shares: dict[str, float]
    gini: float
    history_lengths: dict[str, float]
    funnel: tuple[Stage, ...]
    cold: dict[str, float]
    warnings: tuple[str, ...]
    dropped: dict[str, dict[str, Any]]  # by step: rows, why

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def describe(dataset: Dataset) -> Description:
    log = dataset.log
    popularity = np.sort(log.item_counts())[::-1]
    popularity = popularity[popularity > 0]
    lengths = np.diff(log.offsets)
    pairs = log.matrix("binary").nnz
    percentiles = np.percentile(lengths[lengths > 0], QUANTILES)
    first, last = int(log.times.min()), int(log.times.max())
    return Description(
        name=dataset.name,
        fingerprint=dataset.fingerprint,
        counts={
            "events": len(log),
            "users": int((lengths > 0).sum()),
            "items": len(dataset.catalogue),
            "items with events": len(popularity),
            "user-item pairs": pairs,
            "sessions": len(np.unique(log.sessions)),
            "baskets": len(np.unique(log.baskets[log.baskets >= 0])),
        },
        density=pairs / (int((lengths > 0).sum()) * len(popularity)),
        first=None if dataset.order_only else iso(first),
        last=None if dataset.order_only else iso(last),
        days=None if dataset.order_only else (last - first) / DAY,
        top_shares={
            f"{percent}%": float(popularity[: int(np.ceil(len(popularity) * percent / 100))].sum() / len(log))
            for percent in TOP_PERCENTS
        },
        gini=_gini(popularity),
        history_lengths={
            **{f"p{quantile}": float(value) for quantile, value in zip(QUANTILES, percentiles, strict=True)},
            "mean": float(lengths[lengths > 0].mean()),
        },
        funnel=_funnel(log),
        cold={} if dataset.order_only else _cold(log),
        warnings=warnings(dataset),
        dropped={step.name: {"rows": step.dropped, "why": step.why} for step in dataset.lineage.steps if step.dropped},
    )


def _gini(descending: np.typing.NDArray[np.int64]) -> float:
    """Twice the area between the Lorenz curve and the line of equality."""
    size = len(descending)
    ranks = np.arange(size, 0, -1)  # ascending order's ranks
    return float(2 * (ranks * descending).sum() / (size * descending.sum()) - (size + 1) / size)


def _funnel(log: InteractionLog) -> tuple[Stage, ...]:
    had = np.zeros((log.n_users, len(log.event_names)), np.bool_)
    had[log.users, log.events] = True
    events = np.bincount(log.events, minlength=len(log.event_names))
    users = had.sum(axis=0)
    everybody = int(had.any(axis=1).sum())
    stages = []
    for code, name in enumerate(log.event_names):
        both = int((had[:, code] & had[:, code - 1]).sum()) if code else 0
        of_previous = both / max(int(users[code - 1]), 1) if code else None
        stages.append(Stage(name, int(events[code]), int(users[code]), int(users[code]) / everybody, of_previous))
    return tuple(stages)


def _cold(log: InteractionLog) -> dict[str, float]:
    first, last = int(log.times.min()), int(log.times.max())
    end = last - NEWEST * (last - first)
    item_first = np.full(log.n_items, np.iinfo(np.int64).max)
    np.minimum.at(item_first, log.items, log.times)
    user_first = log.times[log.offsets[:-1][np.diff(log.offsets) > 0]]
    seen = item_first < np.iinfo(np.int64).max
    late = log.times >= end
    return {
        "new items": float((item_first[seen] >= end).mean()),
        "new users": float((user_first >= end).mean()),
        "late events on new items": float((item_first[log.items[late]] >= end).mean()),
        "items without events": float((~seen).mean()),
    }


def render(description: Description, console: Console) -> None:
    """Print the page."""
    from rich.columns import Columns
    from rich.table import Table
    from rich.text import Text

    def table(title: str, *headers: str) -> Table:
        made = Table(title=title, title_justify="left", title_style="bold", show_edge=False, header_style="dim")
        for position, header in enumerate(headers):
            made.add_column(header, justify="right" if position else "left", overflow="fold")
        return made

    console.print(Text.assemble((description.name, "bold"), f" {description.fingerprint[:12]}"))
    if description.days is not None:
        console.print(f"{description.first} to {description.last}: {description.days:,.1f} days")

    counts = table("Counts", "", "")
    for name, count in description.counts.items():
        counts.add_row(name, f"{count:,}")
    counts.add_row("density", f"{description.density:.4%}")

    popularity = table("Popularity", "top items", "of events")
    for percent, share in description.top_shares.items():
        popularity.add_row(percent, f"{share:.1%}")
    popularity.add_row("Gini", f"{description.gini:.3f}")

    lengths = table("Events per user", "percentile", "")
    for quantile, value in description.history_lengths.items():
        lengths.add_row(quantile, f"{value:,.1f}")
    console.print(Columns([counts, popularity, lengths], padding=(1, 4)))

    funnel = table("Event types", "event", "events", "users", "of all users", "of the previous type's")
    for stage in description.funnel:
        previous = "" if stage.of_previous is None else f"{stage.of_previous:.1%}"
        funnel.add_row(stage.event, f"{stage.events:,}", f"{stage.users:,}", f"{stage.of_all:.1%}", previous)
    cold = table("Cold start: the last tenth of the time", "", "share")
    for name, share in description.cold.items():
        cold.add_row(name, f"{share:.1%}")
    console.print(Columns([funnel, cold] if description.cold else [funnel], padding=(1, 4)))

    if description.dropped:
        dropped = Table(title="Dropped rows", title_justify="left", title_style="bold", show_edge=False)
        dropped.add_column("step")
        dropped.add_column("rows", justify="right")
        dropped.add_column("because", overflow="fold")
        for name, drop in description.dropped.items():
            dropped.add_row(name, f"{drop['rows']:,}", drop["why"])
        console.print(dropped)
    for warning in description.warnings:
        console.print(Text.assemble(("!", "yellow"), f" {warning}"))
