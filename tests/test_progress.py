"""What is shown of long work, on a terminal and elsewhere."""

from __future__ import annotations

import pytest

from recsys_lab.progress import status, track


def run() -> None:
    with status("preparing [/]") as step:
        step("read [red]files[/]")
    assert list(track(["[/x]"], "comparing [/]")) == ["[/x]"]


def test_names_are_no_markup(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    run()
    out, err = capsys.readouterr()
    assert out == ""
    assert "comparing [/]: [/x]" in err


def test_nothing_is_shown_where_no_terminal_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    run()
    assert capsys.readouterr() == ("", "")
