"""Alert rules and dashboard speak of metrics that exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from serving_min.bundle import Bundle
from serving_min.engine import Engine
from serving_min.meters import Gauge, Histogram
from serving_min.shop import Shop
from tests.serving_min.process import ROOT

OPS = ROOT / "serving_min" / "ops"
DASHBOARD = json.loads((OPS / "dashboard.json").read_text())
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


@pytest.fixture(scope="module")
def shown(bundles: dict[str, Path]) -> dict[str, set[str]]:
    """The labels of each series that the server shows."""
    series = {}
    for meter in Shop(Engine(Bundle.load(bundles["static"]))).observation.meters.own:
        names = [meter.name if isinstance(meter, Gauge) else f"{meter.name}_total"]
        if isinstance(meter, Histogram):
            names = [f"{meter.name}_{part}" for part in ("bucket", "count", "sum")]
        series |= {name: {*meter.labels, "le"} if name.endswith("_bucket") else {*meter.labels} for name in names}
    return series


def promtool(*arguments: str) -> str:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed; it comes with Debian's package prometheus")
    done = subprocess.run([program, *arguments], cwd=OPS, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_alert_rules_do_what_their_tests_say() -> None:
    assert "10 rules found" in promtool("check", "rules", "alerts.yml")
    assert "SUCCESS" in promtool("test", "rules", "alerts_test.yml")


def test_the_dashboard_can_be_computed(tmp_path: Path) -> None:
    asked = [expression.replace("$__rate_interval", "1m") for expression in EXPRESSIONS]
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(asked)]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", str(tmp_path / "rules.yml"))


def test_only_what_is_there_is_looked_at_and_all_of_it(shown: dict[str, set[str]]) -> None:
    rules, tests = ((OPS / name).read_text() for name in ("alerts.yml", "alerts_test.yml"))
    for text in (rules, tests, *EXPRESSIONS):
        asked = set(re.findall(r"recsys_\w+", text))
        assert asked <= shown.keys()
        for name, labels in re.findall(r"(recsys_\w+)\{([^}]*)\}", text):
            assert set(re.findall(r"(\w+)=", labels)) <= shown[name]
    looked_at = {re.sub(r"_(bucket|count|sum)$", "", name) for name in re.findall(r"recsys_\w+", " ".join(EXPRESSIONS))}
    assert looked_at == {re.sub(r"_(bucket|count|sum)$", "", name) for name in shown}, "each has its panel"


def test_panels_lie_side_by_side() -> None:
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]]
    assert len({*places}) == len(places) == len({panel["id"] for panel in DASHBOARD["panels"]})
