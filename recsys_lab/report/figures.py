"""How figures look: inline SVG whose ink follows the page, in light and in dark.

Colours are Okabe and Ito's, which colour-blind readers can tell apart, and every model also has
a marker of its own.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c8c8c")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
INK, LINES = "#010203", "#040506"  # stand-ins that svg() replaces by the page's own colours
WIDTH, LEGEND_ROW = 9.4, 0.19  # inches
MOST_COLUMNS = 7  # of a legend
SETTINGS: Any = {  # matplotlib types each key by itself
    "svg.fonttype": "none",
    "svg.hashsalt": "recsys-lab",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": LINES,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINES,
    "grid.linewidth": 0.5,
    "text.color": INK,
    "xtick.color": LINES,
    "ytick.color": LINES,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 5.5,
}


@dataclass(frozen=True)
class Look:
    """How one model is drawn in every figure of a page."""

    color: str
    marker: str


def looks(models: Sequence[str]) -> dict[str, Look]:
    """One look per model; with more than seven the colours start again, with other markers."""
    found = {}
    for place, model in enumerate(models):
        turn = place // len(COLOURS)
        found[model] = Look(COLOURS[place % len(COLOURS)], MARKERS[(place + turn) % len(MARKERS)])
    return found


def panels(count: int, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of the page's width with ``count`` panels side by side, ``height`` inches high."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, list(figure.subplots(1, count, squeeze=False)[0])


def legend(figure: Figure, axes: Axes) -> None:
    """One legend for all panels, below them: as many columns as fit, and the figure grows by further rows."""
    handles, names = axes.get_legend_handles_labels()
    for columns in range(min(len(names), MOST_COLUMNS), 0, -1):
        drawn = figure.legend(handles, names, loc="outside lower center", ncols=columns)
        if columns == 1 or drawn.get_window_extent().width <= figure.bbox.width:
            rows = -(-len(names) // columns)
            figure.set_figheight(figure.get_figheight() + (rows - 1) * LEGEND_ROW)
            return
        drawn.remove()


def whole_numbers(axes: Axes) -> None:
    """Let the horizontal axis count: no ticks between whole numbers."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def svg(draw: Callable[[], Figure | None]) -> str | None:
    """What ``draw`` makes, as an ``<svg>`` element to put into a page that defines --ink and --lines."""
    import matplotlib

    with matplotlib.rc_context(SETTINGS):
        figure = draw()
        if figure is None:
            return None
        page = io.StringIO()
        figure.savefig(page, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    element = page.getvalue()
    element = element[element.index("<svg") :]
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    element = re.sub(r'<g id="[^"]*"', "<g", element)  # several figures on a page would repeat them
    return element.replace(INK, "var(--ink)").replace(LINES, "var(--lines)")
