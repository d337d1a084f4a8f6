"""Reading a leaderboard, the JSON of `recsys-lab compare`, and showing it on a terminal.

name, created, primary                     "ndcg@10" decides the order
data         {name, fingerprint, events}
split        {name, settings, leaks, exclude_seen, fingerprint, folds: {test: {queries, cutoff, …}, …}}
audit        {passed, findings: [{name, fold, ok, allowed, value, detail}]}
lineage      {source, steps: [{name, why, rows_in, rows_out, …}], …}
models       best first: [{model, run, metrics: {"ndcg@10": {mean, ci95}}, fit_seconds,
             queries_per_second, peak_memory_mb, curve: [{epoch, …}]}]
comparisons  each other model beside the leader: [{model, leader, difference, ci95, p, p_adjusted, tie}]
             (a ci95 is null where metrics.bootstrap is 0)
failed       [{model, error}]
studies      what tuning found before, one ``Outcome.to_dict()`` for each model that was tuned
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.console import Console

Board = Mapping[str, Any]
Verdict = Literal["leader", "tie", "behind"]

LABELS = {
    "ndcg": "NDCG",
    "hit_rate": "Hit rate",
    "mrr": "MRR",
    "map": "MAP",
    "gini": "Gini index",
    "category_diversity": "Category diversity",
    "content_diversity": "Content diversity",
}
UNITS = {"novelty": "bits", "miscalibration": "nats", "popularity": "training events"}
BESIDE_THE_PRIMARY = ("recall", "ndcg", "hit_rate", "coverage")


def label(metric: str) -> str:
    """What a reader calls ``metric`` or ``metric@k``, with its unit if it has one: "NDCG@10", "Novelty@10, bits"."""
    name, at, k = metric.partition("@")
    unit = f", {UNITS[name]}" if name in UNITS else ""
    return LABELS.get(name, name.replace("_", " ").capitalize()) + at + k + unit


def verdicts(board: Board) -> dict[str, Verdict]:
    """For each model whether it leads, ties with the leader within the noise, or is behind."""
    found: dict[str, Verdict] = {entry["model"]: "leader" for entry in board["models"][:1]}
    for comparison in board["comparisons"]:
        found[comparison["model"]] = "tie" if comparison["tie"] else "behind"
    return found


def other_metrics(board: Board, names: tuple[str, ...] = BESIDE_THE_PRIMARY) -> list[str]:
    """The metrics ``names`` at the primary metric's cutoff, as far as they were measured."""
    primary: str = board["primary"]
    k = primary.partition("@")[2]
    wanted = [f"{name}@{k}" for name in names]
    return [name for name in wanted if name != primary and all(name in entry["metrics"] for entry in board["models"])]


def render(board: Board, console: Console) -> None:
    """The leaderboard as a table, best first, with intervals and ties marked."""
    from rich import box
    from rich.table import Table

    primary, found, others = board["primary"], verdicts(board), other_metrics(board)
    table = Table(box=box.SIMPLE, title=_title(board), title_justify="left", title_style="bold", padding=(0, 1, 0, 0))
    table.add_column("model", no_wrap=True)
    table.add_column(label(primary), justify="right")
    table.add_column("95 % interval", no_wrap=True)
    table.add_column("verdict")
    for name in (*(label(other.partition("@")[0]) for other in others), "fit s"):
        table.add_column(name, justify="right")
    for entry in board["models"]:
        metrics, verdict = entry["metrics"], found[entry["model"]]
        interval = metrics[primary]["ci95"]
        table.add_row(
            entry["model"],
            f"{metrics[primary]['mean']:.4f}",
            f"{interval[0]:.3f} – {interval[1]:.3f}" if interval else "–",
            verdict,
            *(f"{metrics[other]['mean']:.4f}" for other in others),
            f"{entry['fit_seconds']:.1f}",
            style={"leader": "bold", "tie": "", "behind": "dim"}[verdict],
        )
    console.print(table)
    for line in _remarks(board):
        console.print(line, soft_wrap=True)


def _title(board: Board) -> str:
    split = board["split"]
    seen = "seen items excluded" if split["exclude_seen"] else "repeats allowed"
    return f"{board['data']['name']}: {split['folds']['test']['queries']:,} queries, split {split['name']}, {seen}"


def _remarks(board: Board) -> list[str]:
    remarks = []
    if "tie" in verdicts(board).values():
        remarks.append("tie: the difference from the leader is within the noise (corrected p at least 5 %)")
    if board["split"]["leaks"]:
        remarks.append("this protocol looks into the future; its numbers only compare with others of the same kind")
    breaches = [finding for finding in board["audit"]["findings"] if not finding["ok"]]
    remarks += [f"audit, {finding['fold']}: {finding['name']}: {finding['detail']}" for finding in breaches]
    remarks += [f"failed: {failure['model']}: {failure['error']}" for failure in board["failed"]]
    return remarks
