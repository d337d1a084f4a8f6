"""A comparison as one self-contained HTML page: no script, nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys_lab.atomic import replacing
from recsys_lab.evaluation import Evaluation
from recsys_lab.report import buckets, plots, study_plots
from recsys_lab.report.figures import svg
from recsys_lab.report.leaderboard import Board, label, other_metrics, verdicts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BESIDE_THE_PRIMARY = (
    "precision",
    "recall",
    "ndcg",
    "hit_rate",
    "mrr",
    "map",
    "coverage",
    "category_diversity",
    "content_diversity",
    "novelty",
    "gini",
)


UNSET = {  # what a setting without a value means
    "window": "to the end of the log",
    "valid_window": "no validation part",
    "target_events": "all",
    "allow": "nothing",
}


def write_report(board: Board, evaluations: Mapping[str, Evaluation], path: Path) -> Path:
    """Write the page and return its path. ``evaluations`` holds each model's, for the figures by group."""
    board = {"studies": [], **board}  # comparisons from before there was tuning have none
    return write_page(
        path,
        "page.html.j2",
        board=board,
        verdicts=verdicts(board),
        comparisons={comparison["model"]: comparison for comparison in board["comparisons"]},
        others=other_metrics(board, BESIDE_THE_PRIMARY),
        figures=_figures(board, evaluations),
    )


def write_page(path: Path, template: str, **content: Any) -> Path:
    """Fill ``template`` with ``content`` and write it as ``path``, which is returned."""
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    pages = Environment(
        loader=PackageLoader("recsys_lab.report", "."),
        autoescape=select_autoescape(["j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {
        "label": label,
        "moment": _moment,
        "flat": _flat,
        "plain": _plain,
        "setting": lambda value, name: UNSET.get(name, "none") if value in (None, [], ()) else _plain(value),
        "seconds": _seconds,
        "sized": sized,
        "trial": study_plots.trial,
        "tried": _tried,
        "signed": _signed,
    }
    with replacing(path) as beside:
        beside.write_text(pages.get_template(template).render(content), encoding="utf-8")
    return path


def _figures(board: Board, evaluations: Mapping[str, Evaluation]) -> dict[str, str]:
    """The SVG of each figure that these results allow, by name."""
    tables = {entry["model"]: evaluations[entry["model"]].per_query for entry in board["models"]}
    any_table = next(iter(tables.values()))
    primary = board["primary"]
    lengths = buckets.of_equal_size(any_table["history_length"].to_numpy())
    popularity = buckets.of_equal_size(any_table["target_popularity"].to_numpy())
    draw: dict[str, Callable[[], Figure | None]] = {
        "ranking": lambda: plots.ranking(board),
        "by_cutoff": lambda: plots.by_cutoff(board),
        "trade_offs": lambda: plots.trade_offs(board),
        "by_history": lambda: plots.by_group(tables, primary, lengths, "events in the history"),
        "by_popularity": lambda: plots.by_group(
            tables, primary, popularity, "training events of the wanted items, mean"
        ),
        "training": lambda: plots.training(board),
        "tuning": lambda: study_plots.history(board["studies"]),
    }
    return {name: drawn for name, function in draw.items() if (drawn := svg(function)) is not None}


def _moment(time: int | str) -> str:
    """Epoch seconds or an ISO time, for readers."""
    known = datetime.fromisoformat(time) if isinstance(time, str) else datetime.fromtimestamp(time, UTC)
    return f"{known.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def sized(value: Any) -> str:
    """A setting with the digits that matter."""
    return f"{value:.4g}" if isinstance(value, float) else "null" if value is None else str(value)


def _tried(part: Any) -> str:
    """A part of a search space as a reader would write it."""
    if not isinstance(part, Mapping):
        return ", ".join(sized(value) for value in part)
    when = ", ".join(f"{name} is {sized(value)}" for name, value in part.get("when", {}).items())
    what = _tried(part["choices"]) if "choices" in part else f"{sized(part['low'])} to {sized(part['high'])}"
    return what + (", by factors" if part.get("log") else "") + (f", where {when}" if when else "")


def _signed(value: float) -> str:
    return f"{value:+.4f}".replace("-", "−")


def _seconds(value: float) -> str:
    if round(value, 1) < 60:
        return f"{value:.1f} s"
    minutes, seconds = divmod(round(value), 60)
    return f"{minutes} min {seconds:02} s"


def _plain(value: Any) -> str:
    """A setting as a reader would write it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_plain(part) for part in value) or "none"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings by dotted name."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{inner}": part for inner, part in _flat(value).items()}
        else:
            flat[name] = value
    return flat
