"""The page and the terminal's table of a search, from a literal study."""

from __future__ import annotations

import copy
import io
from pathlib import Path
from typing import Any

import pytest

from recsys_lab.report import study_plots
from recsys_lab.report.study import render, write_study
from recsys_lab.terminal import console
from tests.report.test_page import Reader


def tried(number: int, values: list[float] | None, width: int, error: str | None = None) -> dict[str, Any]:
    state = "failed" if error else "measured" if values else "stopped"
    settings = {"width": width, "loss": "<b>", "rate": None}
    return {
        "number": number, "state": state, "values": values, "settings": settings, "cpu_seconds": 1.5,
        "best_epoch": 3, "error": error,
    }  # fmt: skip


@pytest.fixture
def study() -> dict[str, Any]:
    return {
        "name": "shop-sasrec-12345678",
        "model": "sasrec",
        "data": {"name": "shop"},
        "objectives": ["ndcg@10", "gini@10"],
        "directions": ["maximize", "minimize"],
        "space": {
            "width": {"low": 8, "high": 64, "log": True},
            "loss": ["<b>"],
            "rate": {"choices": [0.1, None], "when": {"loss": "<b>"}},
        },
        "trials": [
            tried(0, [0.1, 0.9], 8),
            tried(1, [0.3, 0.8], 16),
            tried(2, None, 64),
            tried(3, [0.2, 0.5], 32),
            tried(5, None, 8, error="out of memory"),
        ],
        "best": 1,
        "front": [1, 3],
        "configured": 0,
        "importance": {"ndcg@10": {"width": 0.75, "rate": 0.25}, "gini@10": {"width": 1.0}},
        "next_steps": ["recsys-lab train 'experiment=[a,best]'"],
    }


def test_the_page_says_what_was_found(study: dict[str, Any], tmp_path: Path) -> None:
    html = write_study(study, tmp_path / "page.html").read_text(encoding="utf-8")
    reader = Reader(html)
    assert reader.open == []
    assert reader.text["h2"] == [
        "The best settings",
        "How the search went",
        "What mattered",
        "What is traded for what",
        "The leading trials",
        "What failed",
        "Next",
    ]
    assert reader.tags.count("svg") == 3
    assert reader.tags.count("main") == 1
    assert html.count('tabindex="0"') == reader.tags.count("table") + 3
    assert "<strong>0.3000</strong>, against 0.1000 as configured" in html
    assert "3 trials measured, 1 trials stopped, 1 trials failed" in html
    assert "8 to 64, by factors" in html
    assert "0.1, null, where loss is &lt;b&gt;" in html
    assert "<b>" not in html
    assert "out of memory" in html


def test_one_objective_without_a_configured_trial(study: dict[str, Any], tmp_path: Path) -> None:
    alone = copy.deepcopy(study) | {"objectives": ["ndcg@10"], "configured": None, "importance": {}}
    html = write_study(alone, tmp_path / "page.html").read_text(encoding="utf-8")
    headings = Reader(html).text["h2"]
    assert "What is traded for what" not in headings
    assert "What mattered" not in headings
    assert "as configured</th>" in html


def test_the_best_so_far_goes_the_way_of_the_objective(study: dict[str, Any]) -> None:
    """Trials stand at the numbers that the tables give them: 0, 1 and 3; the third was stopped."""

    def line(studies: list[dict[str, Any]]) -> list[list[float]]:
        figure = study_plots.history(studies)
        assert figure is not None
        (axes,) = figure.axes
        assert all(tick == round(tick) for tick in axes.get_xticks())
        drawn = next(line for line in axes.lines if line.get_label() in ("best so far", "sasrec"))
        return [list(drawn.get_xdata()), list(drawn.get_ydata())]  # type: ignore[arg-type]

    assert line([study]) == [[0, 1, 3], [0.1, 0.3, 0.3]]
    lower = copy.deepcopy(study) | {"directions": ["minimize", "minimize"]}
    assert line([lower]) == [[0, 1, 3], [0.1, 0.1, 0.1]]
    assert line([study, copy.deepcopy(study) | {"model": "ease"}]) == [[0, 1, 3], [0.1, 0.3, 0.3]]
    assert study_plots.history([]) is None


def test_importances_are_ordered_by_their_sum(study: dict[str, Any]) -> None:
    figure = study_plots.importance(study)
    assert figure is not None
    first, second = figure.axes
    assert [label.get_text() for label in first.get_yticklabels()] == ["width", "rate"]
    assert [bar.get_width() for bar in second.patches] == [1.0, 0]  # type: ignore[attr-defined]


def test_the_terminal_shows_front_and_configured(study: dict[str, Any]) -> None:
    text = io.StringIO()
    render(study | {"name": "[/]-sasrec"}, console(file=text, width=160))
    said = text.getvalue()
    assert "[/]-sasrec: 3 measured, 1 stopped, 1 failed" in said
    for words in ("1 best", "0 as configured", "width 32", "rate null", "recsys-lab train 'experiment=[a,best]'"):
        assert words in said
