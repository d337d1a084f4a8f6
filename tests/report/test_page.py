import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from recsys_lab.evaluation import Evaluation
from recsys_lab.report.figures import legend, looks, panels
from recsys_lab.report.page import write_report
from tests.report import made_up

Results = tuple[dict[str, Any], dict[str, Evaluation]]
HEADINGS = [
    "What was compared",
    "Leaderboard",
    "Metric by length of the list",
    "Accuracy against variety",
    "By length of the history",
    "By popularity of the wanted items",
    "Training",
    "Audit",
    "Where the data come from",
    "Runs",
]


class Reader(HTMLParser):
    """Collects what a browser would show and load."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.attributes: list[dict[str, str | None]] = []
        self.open: list[str] = []
        self.text: dict[str, list[str]] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.append({"tag": tag, **dict(attrs)})
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if self.open and data.strip():
            self.text.setdefault(self.open[-1], []).append(" ".join(data.split()))


@pytest.fixture(scope="module")
def results() -> Results:
    found = made_up.evaluations({"sasrec": 1.5, "ease": 1.5, "<i>odd</i>": 0.3})
    return made_up.board(found), found


@pytest.fixture(scope="module")
def html(results: Results, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = write_report(*results, tmp_path_factory.mktemp("reports") / "new" / "page.html")
    assert [file.name for file in path.parent.iterdir()] == ["page.html"]
    return path.read_text(encoding="utf-8")


def test_every_section_is_there(html: str) -> None:
    reader = Reader(html)
    assert reader.text["h2"] == HEADINGS
    assert reader.tags.count("svg") == 6
    assert reader.open == []


def test_nothing_is_loaded_and_nothing_runs(html: str) -> None:
    reader = Reader(html)
    assert all(address.startswith("#") for address in reader.addresses)
    assert not {"script", "link", "img", "iframe"} & set(reader.tags)
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)


def test_what_scrolls_can_be_reached_with_the_keyboard(html: str) -> None:
    reader = Reader(html)
    scrolling = [found for found in reader.attributes if found.get("class") == "scroll" or found.get("role") == "img"]
    assert len(scrolling) == reader.tags.count("table") + reader.tags.count("svg")
    assert all(found.get("tabindex") == "0" and found.get("aria-label") for found in scrolling)
    assert reader.tags.count("main") == 1


def test_names_are_escaped_in_text_and_in_figures(html: str) -> None:
    assert "<i>" not in html
    assert "&lt;i&gt;odd&lt;/i&gt;" in html


def test_the_answer_names_leader_ties_and_losers(html: str, results: Results) -> None:
    board, _ = results
    answer = re.search(r'class="answer">(.*?)</p>', html, re.DOTALL)
    assert answer is not None
    leader, second, third = (entry["model"] for entry in board["models"])
    assert f"<strong>{leader}</strong> has the highest NDCG@10" in answer[1]
    assert f"ties with {second}" in answer[1]
    assert third == "<i>odd</i>"
    assert "Behind by more than the noise: &lt;i&gt;odd&lt;/i&gt;." in answer[1]


def test_ink_follows_the_page(html: str) -> None:
    assert "var(--ink)" in html
    assert "#010203" not in html
    assert "#040506" not in html


def test_the_same_results_make_the_same_page(html: str, results: Results, tmp_path: Path) -> None:
    assert write_report(*results, tmp_path / "again.html").read_text(encoding="utf-8") == html


def test_one_model_and_no_curve(tmp_path: Path) -> None:
    found = made_up.evaluations({"popular": 0.3})
    board = made_up.board(found)
    board["split"] |= {"leaks": True, "exclude_seen": False}
    board["failed"] = [{"model": "content", "error": "the catalogue has no text"}]
    reader = Reader(write_report(board, found, tmp_path / "page.html").read_text(encoding="utf-8"))
    assert reader.text["h2"] == [heading for heading in HEADINGS if heading != "Training"]
    shown = " ".join(reader.text["p"])
    assert "looks into the future" in shown
    assert "is missing: the catalogue has no text" in shown
    assert "may be recommended again" in reader.text["dd"]


def test_a_setting_without_a_value_says_what_that_means(tmp_path: Path) -> None:
    found = made_up.evaluations({"popular": 0.3})
    board = made_up.board(found)
    board["split"]["settings"] = {"window": None, "target_events": None, "allow": [], "exclude_seen": True}
    reader = Reader(write_report(board, found, tmp_path / "page.html").read_text(encoding="utf-8"))
    assert {"to the end of the log", "all", "nothing"} <= set(reader.text["dd"])
    assert "none" not in reader.text["dd"]
    assert "exclude seen" not in reader.text["dt"]


def test_every_model_has_a_look_of_its_own() -> None:
    found = looks([f"model {number}" for number in range(40)])
    assert len({(look.color, look.marker) for look in found.values()}) == 40


def test_a_legend_of_many_long_names_is_not_cut_off() -> None:
    figure, (axes,) = panels(1, 3.0)
    for number in range(20):
        axes.plot([0, 1], [0, number], label=f"popular_by_category_{number}")
    legend(figure, axes)
    (drawn,) = figure.legends
    assert len(drawn.get_texts()) == 20
    assert drawn.get_window_extent().width <= figure.bbox.width
    assert figure.get_figheight() > 3.5


def test_a_column_has_as_many_decimals_in_every_row(tmp_path: Path) -> None:
    found = made_up.evaluations({"sasrec": 1.5, "popular": 0.3})
    board = made_up.board(found)
    for entry, novelty in zip(board["models"], (9.98761, 10.04321), strict=True):
        entry["metrics"] = entry["metrics"] | {"novelty@10": {"mean": novelty, "ci95": None}}
    cells = Reader(write_report(board, found, tmp_path / "page.html").read_text(encoding="utf-8")).text["td"]
    assert {"9.9876", "10.0432"} <= set(cells)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (59.96, "1 min 00 s"), (119.7, "2 min 00 s"), (161.2, "2 min 41 s")],
)
def test_times_are_rounded_before_they_are_parted(tmp_path: Path, seconds: float, expected: str) -> None:
    found = made_up.evaluations({"popular": 0.3})
    board = made_up.board(found)
    board["models"][0]["fit_seconds"] = seconds
    html = write_report(board, found, tmp_path / "page.html").read_text(encoding="utf-8")
    assert expected in Reader(html).text["td"]


def test_without_bootstrap_no_interval_is_spoken_of(tmp_path: Path) -> None:
    found = made_up.evaluations({"popular": 0.3, "ease": 0.9})
    board = made_up.board(found)
    for entry in board["models"]:
        entry["metrics"] = {name: measure | {"ci95": None} for name, measure in entry["metrics"].items()}
    board["comparisons"] = [comparison | {"ci95": None} for comparison in board["comparisons"]]
    html = write_report(board, found, tmp_path / "page.html").read_text(encoding="utf-8")
    leaderboard = html[html.index("<h2>Leaderboard") : html.index("<h2>Metric by length")]
    assert "interval" not in leaderboard
    assert "[" not in leaderboard.partition("<tbody>")[2].partition("</tbody>")[0]
