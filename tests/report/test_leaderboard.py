import io
from typing import Any

import pytest

from recsys_lab.report.leaderboard import label, other_metrics, render, verdicts
from recsys_lab.terminal import console
from tests.report import made_up


@pytest.fixture(scope="module")
def board() -> dict[str, Any]:
    return made_up.board(made_up.evaluations({"good": 1.5, "twin": 1.5, "weak": 0.2}))


def on_terminal(board: dict[str, Any], width: int = 80) -> str:
    screen = io.StringIO()
    render(board, console(file=screen, width=width))
    return screen.getvalue()


def test_verdicts(board: dict[str, Any]) -> None:
    found = verdicts(board)
    assert sorted(found) == ["good", "twin", "weak"]
    assert list(found.values()) == ["leader", "tie", "behind"]


def test_best_first_with_ties_marked(board: dict[str, Any]) -> None:
    lines = on_terminal(board).splitlines()
    rows = [line.split() for line in lines if line.strip().startswith(("good", "twin", "weak"))]
    assert [row[0] for row in rows] == list(verdicts(board))
    assert "tie" in rows[1]
    assert "behind" in rows[2]
    means = [float(row[1]) for row in rows]
    assert means == sorted(means, reverse=True)
    assert all("…" not in line for line in lines)


def test_without_bootstrap_the_interval_is_a_dash(board: dict[str, Any]) -> None:
    models = [
        entry | {"metrics": {name: measure | {"ci95": None} for name, measure in entry["metrics"].items()}}
        for entry in board["models"]
    ]
    text = on_terminal(board | {"models": models})
    assert "nan" not in text
    assert text.count("–") == len(models)


def test_remarks_tell_what_a_reader_must_know(board: dict[str, Any]) -> None:
    failed = [{"model": "content", "error": "content: the catalogue has no text [/]"}]
    text = on_terminal(board | {"failed": failed, "split": board["split"] | {"leaks": True}})
    assert "failed: content: content: the catalogue has no text [/]" in text
    assert "looks into the future" in text
    assert "audit, data: whole-log-filters" in text
    assert "300 queries, split time, seen items excluded" in text


def test_only_what_every_model_has_is_shown_beside(board: dict[str, Any]) -> None:
    assert other_metrics(board, ("recall", "ndcg", "unheard_of")) == ["recall@10"]


@pytest.mark.parametrize(
    ("metric", "expected"),
    [("ndcg@10", "NDCG@10"), ("recall", "Recall"), ("hit_rate@5", "Hit rate@5"), ("novelty@20", "Novelty@20, bits")],
)
def test_label(metric: str, expected: str) -> None:
    assert label(metric) == expected
