"""Promote, roll back and list, as a user types it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from recsys_lab import cli
from tests.serving_min.handmade import write_bundle


def test_releases_through_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def typed(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["recsys-lab", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    monkeypatch.chdir(tmp_path)
    bundles = tmp_path / "export" / "bundles"
    for kind in ("static", "neighbours"):
        write_bundle(bundles / kind, kind)
    assert typed("releases") == (0, "nothing was released yet; `recsys-lab promote BUNDLE` does\n", "")
    assert typed("promote", "export/bundles/static") == (0, "live: test-static 1\n", "")
    assert json.loads(typed("promote", "export/bundles/neighbours", "--json")[1])["bundle"] == "neighbours"
    assert "is live already" in typed("promote", "export/bundles/neighbours")[2]
    assert typed("rollback") == (0, "live: test-static 1\n", "")
    listed = json.loads(typed("releases", "--registry", str(bundles), "--json")[1])
    assert [(one["action"], one["bundle"]) for one in listed] == [
        ("rollback", "static"),
        ("promote", "neighbours"),
        ("promote", "static"),
    ]
    assert "neighbours" in typed("releases")[1]
    (bundles / "static" / "fallback.npz").write_bytes(b"")
    assert typed("promote", "export/bundles/static")[0] == 2
