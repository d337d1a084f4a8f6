"""The main job through the command line, as a user types it, on a small shop."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_group

from recsys_lab import cli
from recsys_lab.config import compose
from serving_min.sinks.segments import Segments
from tests.main_job import ROOT, SMALL, bundle_of, said


def test_compare_ranks_the_models_with_their_doubt(in_job):
    board = said(in_job, "compare")
    assert set(board) >= {"split", "audit", "models", "comparisons"}
    means = [entry["metrics"]["ndcg@10"]["mean"] for entry in board["models"]]
    assert means == sorted(means, reverse=True)
    assert {entry["model"] for entry in board["models"]} == {"popular", "ease", "sasrec"}
    low, high = board["models"][0]["metrics"]["ndcg@10"]["ci95"]
    assert low < means[0] < high
    assert board["audit"]["passed"] is True
    assert [comparison["leader"] for comparison in board["comparisons"]] == [board["models"][0]["model"]] * 2


def test_a_second_comparison_takes_the_finished_runs(in_job):
    first, again = said(in_job, "compare"), said(in_job, "again")
    assert [entry["run"] for entry in first["models"]] == [entry["run"] for entry in again["models"]]


def test_the_report_is_one_page(in_job):
    page = (in_job / said(in_job, "report")["report"]).read_text()
    assert "sasrec" in page
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )


def test_a_run_holds_all_that_repeats_it(in_job):
    folder = in_job / "experiments" / "runs" / said(in_job, "compare")["models"][0]["run"]
    run = json.loads((folder / "run.json").read_text())
    for key in ("config", "seed", "fingerprints", "versions", "git", "metrics", "audit", "lineage", "fit_seconds"):
        assert key in run
    assert (folder / "per_query.parquet").is_file()
    assert not list(folder.rglob("*.pkl"))


def test_eval_of_a_run_repeats_its_numbers(in_job, typed):
    best = said(in_job, "compare")["models"][0]
    code, out, _ = typed("eval", best["run"], "--json")
    assert code == 0
    again = json.loads(out)["metrics"]
    assert again.keys() == best["metrics"].keys()
    for name, measure in again.items():  # the last float bits follow the number of threads
        assert measure["mean"] == pytest.approx(best["metrics"][name]["mean"], abs=1e-6), name


def test_eval_of_a_bundle_gives_the_same_metrics(in_job, typed):
    code, out, _ = typed("eval", bundle_of(in_job), "--json")
    assert code == 0
    best = said(in_job, "compare")["models"][0]["metrics"]
    through_bundle = json.loads(out)["metrics"]
    assert through_bundle.keys() == best.keys()
    for name in ("ndcg@10", "recall@20", "coverage@10"):
        assert through_bundle[name]["mean"] == pytest.approx(best[name]["mean"], rel=0.02), name


def test_eval_of_a_bundle_does_to_its_lists_what_its_own_run_did(in_job, typed, tmp_path):
    """A later run of the same model, data and split had other lists."""
    own = in_job / "experiments" / "runs" / said(in_job, "compare")["models"][0]["run"]
    later = tmp_path / f"9{own.name[1:]}"
    for folder in (tmp_path / own.name, later):
        shutil.copytree(own, folder)
    run = json.loads((later / "run.json").read_text())
    run["config"]["rerank"] = compose(["rerank=capped", "rerank.category=1"])["rerank"]
    run["metrics"]["category_diversity@10"]["mean"] = 1.0
    (later / "run.json").write_text(json.dumps(run))
    code, out, _ = typed("eval", bundle_of(in_job), f"paths.runs={tmp_path}", "--json")
    assert code == 0
    best = said(in_job, "compare")["models"][0]["metrics"]
    diversity = json.loads(out)["metrics"]["category_diversity@10"]["mean"]
    assert diversity == pytest.approx(best["category_diversity@10"]["mean"], rel=0.02)


def test_eval_measures_at_the_cutoffs_asked_for(in_job, typed):
    for target in (said(in_job, "compare")["models"][0]["run"], bundle_of(in_job)):
        code, out, err = typed("eval", target, "metrics.cutoffs=[3]", "metrics.bootstrap=0", "--json")
        assert code == 0, err
        assert {name.partition("@")[2] for name in json.loads(out)["metrics"]} == {"3"}


def test_eval_takes_what_the_overrides_name(in_job, typed):
    before = said(in_job, "compare")["models"][0]["metrics"]["category_diversity@5"]["mean"]
    for target in (said(in_job, "compare")["models"][0]["run"], bundle_of(in_job)):
        words = ["rerank=capped", "rerank.category=1", "++metrics.cutoffs=[5]", "--json"]
        code, out, err = typed("eval", target, *words)
        assert code == 0, err
        metrics = json.loads(out)["metrics"]
        assert {name.partition("@")[2] for name in metrics} == {"5"}
        assert metrics["category_diversity@5"]["mean"] > before
        code, _, err = typed("eval", target, "split.cutoff=10d")
        assert (code, "split: fingerprint" in err) == (2, True)
        code, _, err = typed("eval", target, "model=als")
        assert (code, err.startswith("recsys-lab: model=als: a finished run keeps its own")) == (2, True)


def test_eval_and_export_read_the_prepared_data_that_are_named(in_job, typed, tmp_path):
    best = said(in_job, "compare")["models"][0]["run"]
    for words in (["eval", best], ["export", best, f"paths.bundles={tmp_path}"]):
        prepared = tmp_path / words[0]
        shutil.copytree(in_job / "experiments" / "prepared", prepared)
        (in_job / "experiments" / "prepared").rename(in_job / "elsewhere")
        try:
            assert typed(*words, f"paths.prepared={prepared}")[0] == 0
            assert not (in_job / "experiments" / "prepared").exists()
        finally:
            (in_job / "elsewhere").rename(in_job / "experiments" / "prepared")


def test_eval_of_a_bundle_knows_its_run_among_others_of_the_same_model(in_job, typed):
    """A newer run of the same model, data and split, with other lists."""
    runs = in_job / "experiments" / "runs"
    described = json.loads((runs / said(in_job, "compare")["models"][0]["run"] / "run.json").read_text())
    described["config"]["rerank"] = {"_target_": "recsys_lab.reranking.capped", "category": 1}
    described["metrics"]["ndcg@10"]["mean"] /= 2
    (runs / "99990101-000000-newer").mkdir()
    (runs / "99990101-000000-newer" / "run.json").write_text(json.dumps(described))
    try:
        code, out, err = typed("eval", bundle_of(in_job), "metrics.bootstrap=0", "--json")
    finally:
        shutil.rmtree(runs / "99990101-000000-newer")
    assert code == 0, err
    best = said(in_job, "compare")["models"][0]["metrics"]["category_diversity@10"]["mean"]
    assert json.loads(out)["metrics"]["category_diversity@10"]["mean"] == pytest.approx(best, rel=0.02)


@pytest.mark.usefixtures("in_job")
def test_runs_lists_newest_first(typed):
    code, out, _ = typed("runs", "--json")
    seconds = [run["run"][: len("20261123-161500")] for run in json.loads(out)]
    assert code == 0
    assert seconds == sorted(seconds, reverse=True)
    assert len(seconds) == 3
    assert "ease" in typed("runs")[1]


@pytest.mark.usefixtures("in_job")
def test_data_commands(typed):
    code, out, _ = typed("data", "prepare", *SMALL[:3], "--json")
    assert code == 0
    assert (Path(json.loads(out)["folder"]) / "truth.npz").is_file()
    assert typed("data", "prepare", *SMALL[:3])[0] == 0
    code, out, _ = typed("data", "describe", *SMALL[:3], "--json")
    assert code == 0
    assert json.loads(out)
    assert "purchase" in typed("data", "describe", *SMALL[:3])[1]
    code, out, _ = typed("data", "forget", "nobody", "--json")
    assert (code, json.loads(out)) == (0, {"rows": {}, "open": 0})
    assert "nothing is kept" in typed("data", "forget", "nobody")[1]
    Path("serving.toml").write_text('[log]\nfolder = "log"')
    code, _, error = typed("data", "forget", "nobody", "--settings", "serving.toml")
    assert (code, "log: log: no such folder" in error) == (2, True)
    running = Segments(Path("log"))
    running.append("events", [("ann", b"{}")])
    code, out, error = typed("data", "forget", "nobody", "--settings", "serving.toml", "--json")
    assert (code, json.loads(out)) == (2, {"rows": {}, "open": 1})
    assert "a running server writes 1 segments of the log" in error
    running.close()


def test_train_alone_with_a_tracker(in_job, typed, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    code, out, err = typed("train", "model=itemknn", "tracker=wandb", *SMALL, "--json")
    assert code == 0, err
    assert json.loads(out)["model"] == "itemknn"
    assert list((in_job / "wandb").glob("offline-run-*"))
    Path(in_job, "experiments/runs", json.loads(out)["run"], "run.json").unlink()


@pytest.mark.parametrize("command", ["train", "compare", "tune"])
@pytest.mark.parametrize(("tracker", "message"), [("tracker=wandb", "pip install"), ("tracker.name=wandb", "lacks")])
def test_a_tracker_that_cannot_be_is_refused_before_anything_is_trained(
    typed, monkeypatch, tmp_path, command, tracker, message
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "wandb", None)
    code, _, err = typed(command, "model=itemknn", "models=[itemknn]", tracker, *SMALL)
    assert (code, err.count("\n"), message in err) == (2, 1, True), err
    assert not list(tmp_path.glob("experiments/[rs]*/*"))


def test_what_the_tracker_refuses_is_kept_and_one_line(in_job, typed, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    code, _, err = typed("train", "model=itemknn", "tracker=wandb", 'tracker.project="a/b"', *SMALL)
    assert (code, err.count("\n")) == (2, 1), err
    kept = re.search(r"tracker: (\S+) is kept, but wandb refuses it: Invalid project name", err)
    assert kept is not None, err
    (in_job / "experiments" / "runs" / kept[1] / "run.json").unlink()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "model=nothing"], "nothing"),
        (["train", "data=csv"], "data.path"),
        (["train", "data=csv", "data.path=missing.csv"], "missing.csv does not exist"),
        (["eval", "no-such-run"], "no run 'no-such-run'"),
        (["export", "no-such-run"], "no run 'no-such-run'"),
        (["report", "--comparison", "none"], "no comparison 'none'"),
        (["train", *SMALL, "split.cutoff=1999-01-01"], "outside the log"),
        (["train", *SMALL, "split.target_events=[order]"], "no event \\['order'\\]"),
        (["train", *SMALL, "split.target_events=purchase"], "'purchase' is no list"),
        (["train", *SMALL, "split.allow=[order-of-tie]"], "\\['order-of-tie'\\] are no findings"),
        (["train", *SMALL, "metrics.cutoffs=10"], "cutoffs: 10 is no list"),
        (["compare", *SMALL, "metrics.primary=coverage@10"], "'coverage@10' cannot rank models"),
        (["compare", *SMALL, "metrics.primary=ndcg@7"], "'ndcg@7' cannot rank models"),
        (["compare", *SMALL, "+params.ease.lambda=3"], "no such setting"),
        (["compare", *SMALL, "+params.esae.regularization=3"], "esae"),
        (["train", *SMALL, "seed=abc"], "seed: 'abc' does not fit; expected int"),
        (["train", *SMALL, "paths.runs=null"], "paths.runs: None does not fit; expected str"),
        (["train", *SMALL, "metrics.bootstrap=few"], "metrics.bootstrap: 'few' does not fit"),
        (["compare", *SMALL, "params=3"], "params: 3 does not fit; expected a mapping"),
        (["compare", *SMALL, "allowed_targets=mine."], "allowed_targets: 'mine.' is no list; write \\[mine.\\]"),
        (["train", *SMALL, "tracker.name=foo"], "tracker.name: 'foo' is unknown"),
        (["train", *SMALL, "experiment=no_such"], "experiment/no_such"),
        (["export", "best", "export.target_recall=abc"], "export.target_recall: 'abc' does not fit"),
        (
            ["export", "best", "export.surfaces.home={retrievers: [{source: nope}]}"],
            "surfaces.home: 'nope' is no source",
        ),
        (["export", "best", "export.surfaces.home=3"], "surfaces.home: Expected `object`, got `int`"),
        (["export", "best", "export.companions=3"], "export.companions: 3 names none"),
        (
            ["train", "model=sasrec", *SMALL, "trainer.accumulate_grad_batches=0"],
            "trainer.accumulate_grad_batches: 0 is no number of batches; use 1 or more",
        ),
        (["train", "data=csv", "data.path=2026"], """data.path: 2026 is a number; write 'data.path="2026"'"""),
        (["train", "data=movielens", "data.path=[a,b]"], r"data.path: \['a', 'b'\] does not fit; expected str"),
        (["eval", ""], "no run ''"),
        (["report", "--out", "."], "out: . is a folder; give the page's file name, report.html"),
        (["train", "--frehs"], "No such option: --frehs; --help"),
        (["trian"], "No such command 'trian'. Did you mean 'train'"),
    ],
)
@pytest.mark.usefixtures("in_job")
def test_a_mistake_is_one_line_and_code_2(typed, words, message):
    code, out, err = typed(*words)
    assert code == 2
    assert out == ""
    assert err.startswith("recsys-lab: ")
    assert err.count("\n") == 1
    assert re.search(message, err), err


@pytest.mark.parametrize("command", ["train", "compare", "tune"])
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("split.cutoff=yesterday", "split.cutoff: 'yesterday' is no cutoff; write a date"),
        ("split.window=long", "split.window: 'long' is no duration; write 28d"),
        ("split.valid_window=0", "split.valid_window: 0 is no duration; write 28d"),
    ],
)
def test_a_wrong_split_is_refused_before_the_data_are_prepared(
    typed, monkeypatch, tmp_path, command, override, message
):
    monkeypatch.chdir(tmp_path)
    code, _, err = typed(command, *SMALL, "model=ease", override)
    assert (code, err.count("\n")) == (2, 1)
    assert message in err
    assert not list(tmp_path.iterdir())


def test_a_model_of_one_s_own(in_job, typed, monkeypatch, tmp_path):
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "rare.yaml").write_text("_target_: own_models.Rare\nhalf_life_days: 3.0\n")
    (tmp_path / "own_models.py").write_text(
        "from recsys_lab.models.popular import Popular\n\nclass Rare(Popular):\n"
        "    name = 'rare'\n\n    def score(self, queries):\n        return -super().score(queries)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    mine = ["--conf-dir", str(tmp_path / "conf"), "model=rare", "allowed_targets=[recsys_lab.,own_models.]"]
    code, out, err = typed("train", *mine, *SMALL, "--json")
    assert code == 0, err
    trained = json.loads(out)
    code, out, err = typed("eval", trained["run"], "--json")
    assert json.loads(out)["metrics"]["ndcg@10"] == trained["metrics"]["ndcg@10"], err
    (in_job / "experiments" / "runs" / trained["run"] / "run.json").unlink()


def test_ctrl_c_is_one_line(typed, monkeypatch):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("recsys_lab.config.compose", interrupt)
    assert typed("train") == (130, "", "recsys-lab: interrupted; nothing half-written is kept\n")


def test_no_runs_yet_says_how_to_make_one(typed, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert "`recsys-lab train` makes one" in typed("runs")[1]
    assert typed("runs", "--json")[1] == "[]\n"


@pytest.mark.parametrize("written", ["[]", "3", "{}", '{"models": []}', "{"])
def test_a_damaged_record_is_refused_in_one_line(typed, monkeypatch, tmp_path, written):
    monkeypatch.chdir(tmp_path)
    for name, file in (("a-run", "run.json"), ("a-comparison", "comparison.json")):
        folder = tmp_path / "experiments" / "runs" / name
        folder.mkdir(parents=True)
        (folder / file).write_text(written)
    for words in (["eval", "experiments/runs/a-run"], ["export", "best"], ["report"]):
        code, _, err = typed(*words)
        assert (code, err.count("\n")) == (2, 1), err
    assert typed("runs", "--json")[1] == "[]\n"


def test_the_readme_s_mapping_composes():
    from recsys_lab.config import compose

    example = re.search(r"compare .*?'(data\.mapping=[^']+)'", (ROOT / "README.md").read_text())
    assert example is not None
    mapping = compose(["data=csv", example[1]])["data"]["mapping"]
    assert mapping == {"user_id": "visitor", "item_id": "sku"}
    assert compose(["data=csv", "+data.mapping.user_id=visitor"])["data"]["mapping"] == {"user_id": "visitor"}


def test_help_is_instant_and_imports_nothing_heavy():
    code = (
        "import resource, sys\nsys.argv = ['recsys-lab', '--help']\nfrom recsys_lab import cli\n"
        "try:\n    cli.main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'pandas', 'hydra', 'pytorch_lightning', 'numpy', 'duckdb'} & set(sys.modules)\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        "print(sorted(heavy), used.ru_utime + used.ru_stime, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy, _, seconds = done.stderr.strip().rpartition(" ")
    assert heavy == "[]"
    assert float(seconds) < 2  # a guard against heavy imports, not a benchmark
    for command in ("train", "compare", "report", "export", "serve", "recommend", "data"):
        assert command in done.stdout


def commands(group: TyperGroup, *before: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        yield (*before, name), command
        if isinstance(command, TyperGroup):
            yield from commands(command, *before, name)


ALL = dict(commands(get_group(cli.app)))


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_help_says_all_that_is_written(typed, monkeypatch, words):
    monkeypatch.setenv("COLUMNS", "300")
    code, out, _ = typed(*words, "--help")
    assert code == 0
    for written in [ALL[words].help, *(getattr(parameter, "help", None) for parameter in ALL[words].params)]:
        assert (written or "") in out


def test_importing_the_package_imports_no_torch():
    code = "import sys, recsys_lab; assert not {'torch', 'pandas', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_readme_shows_every_command():
    readme = (ROOT / "README.md").read_text()
    for command in cli.app.registered_commands:
        name = command.name or command.callback.__name__  # type: ignore[union-attr]
        assert f"`recsys-lab {name}" in readme or f"recsys-lab {name} " in readme, name
