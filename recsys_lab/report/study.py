"""A search for a model's settings, for readers: on a terminal, and as one self-contained HTML page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from recsys_lab.report import study_plots
from recsys_lab.report.figures import svg
from recsys_lab.report.leaderboard import label
from recsys_lab.report.page import sized, write_page
from recsys_lab.report.study_plots import Study, trial

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console

MOST_TRIALS = 20  # on the page


def write_study(study: Study, path: Path) -> Path:
    """Write the page of ``Outcome.to_dict()`` and return its path."""
    draw: dict[str, Callable[[], Figure | None]] = {
        "history": lambda: study_plots.history([study]),
        "importance": lambda: study_plots.importance(study),
        "front": lambda: study_plots.front(study),
    }
    return write_page(
        path,
        "study.html.j2",
        study=study,
        states=Counter(tried["state"] for tried in study["trials"]),
        leading=_leading(study)[:MOST_TRIALS],
        best=trial(study, study["best"]),
        before=trial(study, study["configured"]),
        failures=Counter(tried["error"] for tried in study["trials"] if tried["error"]),
        figures={name: drawn for name, function in draw.items() if (drawn := svg(function)) is not None},
    )


def render(study: Study, console: Console) -> None:
    """The best settings beside those configured, the front if there is one, and what to do next."""
    from rich import box
    from rich.table import Table

    best, before = trial(study, study["best"]), trial(study, study["configured"])
    several = len(study["objectives"]) > 1
    shown = [trial(study, number) for number in study["front"]] if several else [best]
    shown += [before] if before and before not in shown else []
    table = Table(box=box.SIMPLE, title=_title(study), title_justify="left", title_style="bold", padding=(0, 1, 0, 0))
    table.add_column("trial")
    for objective in study["objectives"]:
        table.add_column(f"{label(objective)}, validation", justify="right")
    table.add_column("settings")
    for tried in shown:
        remarks = [name for name, one in (("best", best), ("as configured", before)) if one == tried]
        settings = ", ".join(f"{name} {sized(value)}" for name, value in tried["settings"].items())
        number = " ".join([str(tried["number"]), *remarks])
        table.add_row(number, *(f"{value:.4f}" for value in tried["values"]), settings)
    console.print(table)
    if not before:
        console.print("the configured settings lie outside the space that is tried")
    for line in ["next:", *study["next_steps"]]:
        console.print(line, soft_wrap=True)


def _title(study: Study) -> str:
    states = Counter(tried["state"] for tried in study["trials"])
    return f"{study['name']}: " + ", ".join(f"{count} {state}" for state, count in states.items())


def _leading(study: Study) -> list[Study]:
    """The measured trials, best first."""
    sign = 1 if study["directions"][0] == "minimize" else -1
    return sorted((tried for tried in study["trials"] if tried["values"]), key=lambda tried: sign * tried["values"][0])
