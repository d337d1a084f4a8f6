"""The figures of a search: how it went, what mattered, what is traded for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys_lab.report.figures import COLOURS, INK, legend, looks, panels, whole_numbers
from recsys_lab.report.leaderboard import label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Study = Mapping[str, Any]  # what Outcome.to_dict gives
MOST_SETTINGS = 12  # in the figure of importances


def history(studies: Sequence[Study]) -> Figure | None:
    """The first objective trial by trial: the best so far of each study, and every trial where there is but one."""
    if not studies:
        return None
    look = looks([study["model"] for study in studies])
    figure, (axes,) = panels(1, 3.4)
    for study in studies:
        own = look[study["model"]]
        numbers, values = _measured(study)
        if len(studies) == 1:
            axes.plot(numbers, values, own.marker, color=own.color, alpha=0.4, label="trial")
        better = np.minimum if study["directions"][0] == "minimize" else np.maximum
        name = "best so far" if len(studies) == 1 else study["model"]
        axes.plot(numbers, better.accumulate(values), color=own.color, drawstyle="steps-post", label=name)
    if len(studies) == 1 and (before := trial(studies[0], studies[0]["configured"])):
        axes.axhline(before["values"][0], color=INK, linewidth=0.8, linestyle="--", label="as configured")
    whole_numbers(axes)
    axes.set_xlabel("trial")
    axes.set_ylabel(f"{label(studies[0]['objectives'][0])}, validation")
    legend(figure, axes)
    return figure


def importance(study: Study) -> Figure | None:
    """How much each setting decides about good trials; one panel for each objective."""
    shares = study["importance"]
    if not shares:
        return None
    total = {name: sum(share.get(name, 0) for share in shares.values()) for share in shares.values() for name in share}
    names = sorted(total, key=lambda name: (-total[name], name))[:MOST_SETTINGS]
    figure, drawn = panels(len(shares), 0.9 + 0.3 * len(names))
    for axes, (objective, share) in zip(drawn, shares.items(), strict=True):
        axes.barh(range(len(names)), [share.get(name, 0) for name in names], height=0.6, color=COLOURS[0])
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
        axes.set_title(label(objective))
        axes.set_xlabel("share of importance")
    for axes in drawn[1:]:
        axes.tick_params(labelleft=False)
    return figure


def front(study: Study) -> Figure | None:
    """Two objectives against each other, and the trials that no other beats in both."""
    if len(study["objectives"]) < 2:
        return None
    figure, (axes,) = panels(1, 3.6)
    values = np.array([tried["values"][:2] for tried in study["trials"] if tried["values"]])
    axes.plot(*values.T, "o", color=COLOURS[-1], alpha=0.5, label="trial")
    members = np.array(sorted(trial(study, number)["values"][:2] for number in study["front"]))
    axes.plot(*members.T, "s", color=COLOURS[1], label="Pareto front")
    if before := trial(study, study["configured"]):
        axes.plot(*before["values"][:2], "X", color=COLOURS[0], markersize=8, label="as configured")
    axes.set_xlabel(label(study["objectives"][0]))
    axes.set_ylabel(label(study["objectives"][1]))
    legend(figure, axes)
    return figure


def trial(study: Study, number: int | None) -> Mapping[str, Any]:
    """The trial of that number; empty when there is none."""
    return next((tried for tried in study["trials"] if tried["number"] == number), {})


def _measured(study: Study) -> tuple[list[int], list[float]]:
    """Numbers, as the tables have them, and first objectives of the trials that were measured to the end."""
    found = [(tried["number"], tried["values"][0]) for tried in study["trials"] if tried["values"]]
    return [number for number, _ in found], [value for _, value in found]
