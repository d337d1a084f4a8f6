"""Showing a sweep on a terminal, and as the JSON of `recsys-lab sweep`.

primary     the metric that the runs are ordered by
runs        best first, those that failed last: [{settings: {name: value}, run, metrics, fit_seconds} or
            {settings, error}]
over_seeds  where seeds were swept: [{settings, seeds, datasets, mean, deviation}], of the primary metric
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import TYPE_CHECKING, Any

from recsys_lab.report.leaderboard import label
from recsys_lab.sweep import Swept, over_seeds
from recsys_lab.terminal import new_table

if TYPE_CHECKING:
    from rich.console import Console


def to_dict(swept: Sequence[Swept]) -> dict[str, Any]:
    """See the module."""
    primary = primary_of(swept)
    return {
        "primary": primary,
        "runs": [_described(each) for each in ranked(swept)],
        "over_seeds": [
            {
                "settings": group.values,
                "seeds": group.count,
                "datasets": group.datasets,
                "mean": group.mean,
                "deviation": group.deviation,
            }
            for group in over_seeds(swept, primary)
        ],
    }


def render(swept: Sequence[Swept], console: Console) -> None:
    """A row for each combination, best first; then, where seeds were swept, what they say together."""
    primary, names = primary_of(swept), [*swept[0].values]
    table = new_table(*names, label(primary), "95 % interval", "fit s", "run", title="Every combination, test part")
    for each in ranked(swept):
        chosen = [*each.values.values()]
        if each.run is None:
            table.add_row(*chosen, "refused", "", "", each.error)
            continue
        interval = each.run.metrics.get(primary, {}).get("ci95")
        span = "" if interval is None else f"{interval[0]:.4f} – {interval[1]:.4f}"
        table.add_row(*chosen, f"{each.measured(primary):.4f}", span, f"{each.run.fit_seconds:.1f}", each.run.name)
    console.print(table)
    groups = over_seeds(swept, primary)
    if groups:
        others = [*groups[0].values]
        table = new_table(*others, "seeds", label(primary), "standard deviation", title="Over the seeds")
        for group in groups:
            table.add_row(*group.values.values(), str(group.count), f"{group.mean:.4f}", f"{group.deviation:.4f}")
        console.print(table)
        if any(group.datasets > 1 for group in groups):
            console.print("each seed made data of its own, too; data.seed=7 keeps them the same")


def primary_of(swept: Sequence[Swept]) -> str:
    """The metric that the runs are ordered by: that of the first one."""
    return next(str(each.run.config["metrics"]["primary"]) for each in swept if each.run is not None)


def ranked(swept: Sequence[Swept]) -> list[Swept]:
    """Best first, those without a number last."""

    def worth(each: Swept) -> tuple[bool, float]:
        mean = each.measured(primary)
        return isnan(mean), -mean

    primary = primary_of(swept)
    return sorted(swept, key=worth)


def _described(each: Swept) -> dict[str, Any]:
    if each.run is None:
        return {"settings": each.values, "error": each.error}
    run = each.run
    return {"settings": each.values, "run": run.name, "metrics": run.metrics, "fit_seconds": run.fit_seconds}
