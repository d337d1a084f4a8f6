"""A bundle served, asked, released and taken back through the command line, as a user types it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from serving_min.settings import Settings
from tests.main_job import SMALL, Type, bundle_of
from tests.serving_min.handmade import items_table, write_bundle


def test_recommend_prints_titles(in_job, typed):
    golden = (Path(bundle_of(in_job)) / "golden.jsonl").read_text().splitlines()
    history = next(r for r in (json.loads(line)["request"]["history"] for line in golden) if len(r) > 2)
    ids = [event["item"] if isinstance(event, dict) else event for event in history[:3]]
    code, out, _ = typed("recommend", bundle_of(in_job), "--history", ",".join([*ids, "no-such"]), "-k", "3", "--json")
    answer = json.loads(out)
    assert code == 0
    assert len(answer["items"]) == 3
    assert all(item["title"] for item in answer["items"])
    assert answer["unknown_items"] == ["no-such"]
    code, out, _ = typed("recommend", bundle_of(in_job), "--history", ",".join(ids), "-k", "3")
    assert answer["items"][0]["id"] in out


def test_recommend_prints_what_others_wrote_as_it_is(tmp_path: Path, typed: Type) -> None:
    titles = ["[/b] Apple", "[red]Ball", ":smile: [link]", "Duck", "Egg", "Fig"]
    table = items_table().set_column(1, "title", [titles])
    bundle = write_bundle(tmp_path / "bundle", "neighbours", table=table)
    code, out, err = typed("recommend", str(bundle), "--history", "D,[/]", "-k", "5")
    assert code == 0, err
    assert all(title in out for title in titles[:3])
    assert "unknown items, ignored: [/]" in out


def test_a_batch_has_a_list_for_every_user(in_job, typed):
    options = ["--out", "lists", "--surface", "push", "-k", "3", "--shard", "200", *SMALL]
    code, out, _ = typed("batch", bundle_of(in_job), *options, "--json")
    summary = json.loads(out)
    assert code == 0
    assert summary["users"] == summary["answered"] > 100
    assert summary["rows"] == 3 * summary["users"]
    assert "history has only unknown items" not in summary["fallbacks"]
    code, out, _ = typed("batch", bundle_of(in_job), *options, "--json")
    assert (code, json.loads(out)["answered"]) == (0, 0)  # all of it is there already
    code, _, err = typed("batch", bundle_of(in_job), *options, "--not-again-days", "2", "--sent", "lists")
    assert (code, err.count("\n")) == (2, 1)
    assert "lists holds a job with sent (), days 0.0" in err


def test_a_batch_for_users_of_other_data(in_job, tmp_path, typed, caplog):
    """Newer data of the shop are well; another shop's users would get lists of what is popular here."""
    code, out, _ = typed("batch", bundle_of(in_job), "--out", str(tmp_path / "newer"), *SMALL[:2], "data.n_events=9500")
    assert code == 0
    assert "users answered now" in out
    assert [message for message in caplog.messages if "the users are those of shop" in message]
    (tmp_path / "log.csv").write_text("user_id,item_id,timestamp\nann,sku-1,1\nbob,sku-1,2\n")
    other = ["data=csv", f"data.path={tmp_path / 'log.csv'}"]
    code, _, err = typed("batch", bundle_of(in_job), "--out", str(tmp_path / "other"), *other)
    assert (code, err.count("\n")) == (2, 1)
    assert "data: csv has none of the items of " in err
    assert "data=csv data.path=log.csv" in err
    assert not (tmp_path / "other").exists()


def test_serve_follows_the_file_and_options_go_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: Type
) -> None:
    told: list[Settings] = []
    monkeypatch.setattr("serving_min.server.serve", lambda _, settings: told.append(settings))
    written = tmp_path / "serving.toml"
    written.write_text('host = "127.0.0.2"\nport = 9100\n')
    for words in ([], ["--settings", str(written)], ["--settings", str(written), "--port", "0"]):
        assert typed("serve", "bundle", *words)[0] == 0
    assert [(one.host, one.port) for one in told] == [("127.0.0.1", 8000), ("127.0.0.2", 9100), ("127.0.0.2", 0)]
    said = typed("serve", "--help")[1]
    assert f"(default: {Settings().host})" in said
    assert f"(default: {Settings().port})" in said


def test_releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: Type) -> None:
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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["serve", "no-such-bundle"], "no manifest.json here"),
        (["recommend", "no-such-bundle", "--history", "A"], "no manifest.json here"),
        (["recommend", "bundle", "-k", "many"], "Invalid value for '-k'"),
        (["recommend", "bundle", "-k", "0"], "recommend: Expected `int` >= 1"),
        (["batch", "bundle", "--users", "u", "--out", "o", "data=csv"], "leave out --users or data=csv"),
        (["batch", "bundle", "--users", "u", "--out", "o", "--conf-dir", "c"], "leave out --users or --conf-dir c"),
        (["promote", "no-such-bundle"], "no manifest.json here"),
        (["rollback"], "no such folder; `recsys-lab promote BUNDLE` makes a registry"),
        (["releases", "--registry", "nowhere"], "nowhere: no such folder; `recsys-lab promote BUNDLE` makes"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: Type, words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = typed(*words)
    assert (code, out) == (2, "")
    assert err.startswith("recsys-lab: ")
    assert err.count("\n") == 1
    assert re.search(message, err), err
