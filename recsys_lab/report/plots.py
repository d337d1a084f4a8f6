"""The figures of a report. Each function draws one, or gives None where there is nothing to draw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from recsys_lab.report.buckets import Buckets
from recsys_lab.report.figures import INK, legend, looks, panels, whole_numbers
from recsys_lab.report.leaderboard import Board, label, other_metrics, verdicts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BY_CUTOFF = ("ndcg", "recall", "precision")
TRADE_OFFS = ("coverage", "category_diversity", "content_diversity", "novelty", "gini")
MOST_TRADE_OFFS = 4
SMALLEST_SPAN = 0.05  # of an axis: smaller differences in variety are not worth a wide picture


def ranking(board: Board) -> Figure:
    """Every model's mean with its interval, best on top, ties named."""
    models, primary, found = board["models"], board["primary"], verdicts(board)
    look = looks([entry["model"] for entry in models])
    figure, (axes,) = panels(1, 0.9 + 0.33 * len(models))
    for place, entry in enumerate(models):
        measure, own = entry["metrics"][primary], look[entry["model"]]
        low, high = measure["ci95"] or (measure["mean"], measure["mean"])
        axes.plot([low, high], [place, place], color=own.color, linewidth=3, alpha=0.45, solid_capstyle="round")
        axes.plot(measure["mean"], place, own.marker, color=own.color, markersize=7)
        remark = {"leader": " · leader", "tie": " · tie with the leader", "behind": ""}[found[entry["model"]]]
        axes.annotate(f"{measure['mean']:.4f}{remark}", (high, place), (8, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(models)), [entry["model"] for entry in models])
    axes.set_ylim(len(models) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.margins(x=0.22)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    interval = " with 95 % interval" if models[0]["metrics"][primary]["ci95"] else ""
    axes.set_xlabel(f"{label(primary)}, mean over queries{interval}")
    return figure


def by_cutoff(board: Board) -> Figure | None:
    """How the metrics grow or fall with the length of the list."""
    models = board["models"]
    cutoffs = sorted({int(name.partition("@")[2]) for name in models[0]["metrics"]})
    names = [name for name in BY_CUTOFF if f"{name}@{cutoffs[0]}" in models[0]["metrics"]]
    if len(cutoffs) < 2 or not names:
        return None
    look = looks([entry["model"] for entry in models])
    figure, drawn = panels(len(names), 3.1)
    for axes, name in zip(drawn, names, strict=True):
        for entry in models:
            means = [entry["metrics"][f"{name}@{k}"]["mean"] for k in cutoffs]
            own = look[entry["model"]]
            axes.plot(cutoffs, means, color=own.color, marker=own.marker, label=entry["model"])
        axes.set_title(label(name))
        axes.set_xticks(cutoffs)
        axes.set_xlabel("k, items in the list")
        axes.set_ylim(bottom=0)
    drawn[0].set_ylabel("mean over queries")
    legend(figure, drawn[0])
    return figure


def trade_offs(board: Board) -> Figure | None:
    """Accuracy against what else a list is: varied, novel, fair to the catalogue."""
    primary = board["primary"]
    names = other_metrics(board, TRADE_OFFS)[:MOST_TRADE_OFFS]
    if not names:
        return None
    look = looks([entry["model"] for entry in board["models"]])
    figure, drawn = panels(len(names), 3.1)
    for axes, name in zip(drawn, names, strict=True):
        for entry in board["models"]:
            x, y = entry["metrics"][name]["mean"], entry["metrics"][primary]["mean"]
            own = look[entry["model"]]
            axes.plot(x, y, own.marker, color=own.color, markersize=8, label=entry["model"])
        axes.set_xlabel(label(name))
        axes.margins(0.12)
        axes.set_ylim(bottom=0)
        _at_least(axes, SMALLEST_SPAN)
    drawn[0].set_ylabel(label(primary))
    for axes in drawn[1:]:
        axes.tick_params(labelleft=False)
    legend(figure, drawn[0])
    return figure


def by_group(tables: Mapping[str, pd.DataFrame], metric: str, buckets: Buckets, about: str) -> Figure | None:
    """The metric in each group of queries, with intervals; models stand side by side."""
    if len(buckets.labels) < 2:
        return None
    look = looks(list(tables))
    figure, (axes,) = panels(1, 3.4)
    places = np.arange(len(buckets.labels))
    shifts = np.linspace(-0.3, 0.3, len(tables)) if len(tables) > 1 else [0.0]
    for (model, means), shift in zip(buckets.means(tables, metric).items(), shifts, strict=True):
        mean, low, high = means.T
        own = look[model]
        axes.vlines(places + shift, low, high, color=own.color, linewidth=2.2, alpha=0.45)
        axes.plot(places + shift, mean, own.marker, color=own.color, label=model)
    names = [f"{name}\nn = {size:,}" for name, size in zip(buckets.labels, buckets.sizes, strict=True)]
    axes.set_xticks(places, names)
    axes.set_xlim(-0.5, len(places) - 0.5)
    axes.set_ylim(bottom=0)
    axes.grid(axis="x", visible=False)
    axes.tick_params(axis="x", length=0)
    for border in places[1:] - 0.5:
        axes.axvline(border, color=INK, linewidth=0.4, alpha=0.3)
    axes.set_xlabel(f"{about}; n: queries")
    axes.set_ylabel(label(metric))
    legend(figure, axes)
    return figure


def training(board: Board) -> Figure | None:
    """Loss and validation metrics by epoch, for the models that learn in epochs."""
    curves = {entry["model"]: entry["curve"] for entry in board["models"] if entry.get("curve")}
    names = sorted({name for curve in curves.values() for epoch in curve for name in epoch} - {"epoch"})
    shown = [name for name in names if name == "train_loss"] + [name for name in names if name.startswith("valid")]
    if not shown:
        return None
    look = looks([entry["model"] for entry in board["models"]])
    figure, drawn = panels(min(len(shown), 3), 3.1)
    for axes, name in zip(drawn, shown, strict=False):
        for model, curve in curves.items():
            points = [(epoch["epoch"], epoch[name]) for epoch in curve if name in epoch]
            if points:
                own = look[model]
                axes.plot(*zip(*points, strict=True), color=own.color, marker=own.marker, label=model)
        whole_numbers(axes)
        axes.set_title(_curve_label(name))
        axes.set_xlabel("epoch")
    legend(figure, max(drawn, key=lambda axes: len(axes.lines)))
    return figure


def _curve_label(name: str) -> str:
    part, _, metric = name.partition("_")
    return {"train": "Training", "valid": "Validation"}[part] + " " + (metric if metric == "loss" else label(metric))


def _at_least(axes: Axes, span: float) -> None:
    """Widen the horizontal axis to ``span`` around its middle."""
    from matplotlib.ticker import MaxNLocator

    low, high = axes.get_xlim()
    if high - low < span:
        middle = (low + high) / 2
        axes.set_xlim(middle - span / 2, middle + span / 2)
    axes.xaxis.set_major_locator(MaxNLocator(4))
