"""Every yaml composes and builds; what cannot work is one clear line."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from recsys_lab.config import compose, conf_folder
from recsys_lab.errors import ConfigError

CONF = Path(__file__).resolve().parents[1] / "conf"
CHOICES = [(path.parent.name, path.stem) for path in sorted(CONF.glob("*/*.yaml")) if path.parent.name != "cleaning"]


def test_the_repository_s_conf_is_found():
    assert conf_folder() == CONF


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_every_yaml_composes_and_builds(group, choice):
    config = compose([f"{group}={choice}"])
    assert config.choices[group] == choice
    if group in ("model", "split"):
        config.build(group)
    if group in ("data", "experiment"):
        config.build("data", without="cleaning")
        config.build("data.cleaning")
        config.build("split")


@pytest.mark.parametrize("path", sorted(CONF.glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_setting_is_the_keyword_s_default(path):
    """A hyper-parameter is written twice, as a default and in its yaml; the two agree."""
    written = yaml.safe_load(path.read_text())
    if "_target_" not in written:
        pytest.skip("names no class")
    module, _, name = written["_target_"].rpartition(".")
    taken = {
        parameter.name: parameter.default
        for parameter in inspect.signature(getattr(import_module(module), name)).parameters.values()
    }
    settings = {key: value for key, value in written.items() if key not in ("_target_", "defaults", "cleaning")}
    assert set(settings) == set(taken)
    for key, value in settings.items():
        default = taken[key]
        if isinstance(value, str) and value.startswith("${"):
            continue
        if default in (None, ()) or not isinstance(default, str | int | float | bool | tuple | dict):
            assert value in (None, [], {}) or callable(getattr(default, "copy", None)) or "factory" in repr(default)
        else:
            assert value == (list(default) if isinstance(default, tuple) else default), key


def test_every_group_and_key_says_what_it_is():
    for path in CONF.rglob("*.yaml"):
        assert path.read_text().startswith("#"), path


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=nothing"], "nothing"),
        (["sede=3"], r"sede: no such setting; did you mean seed\?$"),
        (["+sede=3"], r"sede: no such setting; did you mean seed\?$"),
        (["modl=ease"], r"modl: no such setting; did you mean model\?$"),
        (["foo.bar=1"], "foo: no such setting; there are allowed_targets, data, "),
        (["model.regularisation=3", "model=ease"], r"did you mean model.regularization\?$"),
        (
            ["model.width=3", "model=ease"],
            "model.width: no such setting; there are counts, max_memory_gb, regularization$",
        ),
        (["rerank.mix=.3"], "rerank.mix: no such setting; there are none"),
        (["params.ease.regularization=3"], r"params.ease: no such setting; \+params.ease.regularization=3 adds it"),
        (
            ["export.surfaces.hom.seen=keep"],
            r"did you mean export.surfaces.home\? \+export.surfaces.hom.seen=keep adds",
        ),
        (["seed"], "seed: cannot be read; write NAME=VALUE$"),
        (["=3"], "=3: cannot be read; write NAME=VALUE$"),
        (["+paths.x=1"], "paths.x: no such setting; there are bundles, prepared, reports, runs, studies$"),
        (["++metrics.cutofs=[5]"], r"metrics.cutofs: no such setting; did you mean metrics.cutoffs\?$"),
        (["metrics.cutofs=[5]"], r"metrics.cutofs: no such setting; did you mean metrics.cutoffs\?$"),
        (["metrics={cutofs: [5]}"], r"metrics.cutofs: no such setting; did you mean metrics.cutoffs\?$"),
        (["+export.nam=x"], r"export.nam: no such setting; did you mean export.name\?$"),
        (["export.recall=1"], r"export.recall: no such setting; did you mean export.target_recall\?$"),
        (["+tune.trails=3"], r"did you mean tune.trials\?$"),
        (["tracker=wandb", "+tracker.mod=online"], r"did you mean tracker.mode\?$"),
        (["+recbole.setings.x=1"], r"did you mean recbole.settings\?$"),
        (["+params.esae.regularization=3"], r"params.esae: no such setting; did you mean params.ease\?$"),
        (["params={ease: {regularization: 3}}"], r"params.ease: no such setting; \+params={ease: .*}} adds it"),
        (["metrics.cutoffs=10"], r"metrics.cutoffs: 10 is no list; write \[10\]"),
        (["metrics.cutoffs=[true]"], r"metrics.cutoffs: \[True\] does not fit; expected int, got bool"),
        (["metrics.primary=3"], "metrics.primary: 3 is a number; write"),
        (["tune.pruner=[median]"], "tune.pruner: .* does not fit; expected str"),
        (["tracker=wandb", "tracker.mode=on"], "tracker.mode: 'on' is unknown; use one of online, offline, disabled"),
        (["~export"], "export: None does not fit; expected a mapping"),
        (["~data"], "data: None does not fit; expected a mapping"),
        (["model=null"], "model=null: model is a group; write model=NAME, one of als, "),
        (["model=[ease,als]"], "model is a group"),
        (["model=hybrid", "model.members=3"], "model.members: 3 are no models"),
        (["model=hybrid", "model.members.als=null"], "model.members: .* are no models; ~model.members.als leaves one"),
        (["tune=yes"], "tune=yes: tune is a group; write tune=NAME, .*, true, false"),
        (["seed=1,2"], r"seed=1,2: is several values; write \[1,2\] for a list"),
        (["data=csv", "data.path=größe (1).csv"], """in quotes of its own: 'data.path="größe \\(1\\).csv"'$"""),
    ],
)
def test_a_wrong_override_is_one_line(overrides, message):
    with pytest.raises(ConfigError, match=message) as caught:
        compose(overrides)
    assert "\n" not in str(caught.value)


def test_params_reach_their_model_and_only_known_ones():
    config = compose(["+params.ease.regularization=3", "+params.itemknn.neighbours=5"])
    assert config.for_model("ease")["model"]["regularization"] == 3
    assert config.for_model("itemknn").build("model").neighbours == 5
    with pytest.raises(ConfigError, match=r"no such setting \['lambda'\]"):
        compose(["+params.ease.lambda=3"]).for_model("ease")


def test_params_reach_the_model_that_is_trained_alone():
    """``train`` and ``config`` too; what is said of the model itself goes before."""
    assert compose(["model=ease", "+params.ease.regularization=3"])["model"]["regularization"] == 3
    said = compose(["+params.ease.regularization=3", "model=ease", "model.regularization=7"])
    assert said["model"]["regularization"] == 7


def test_only_allowed_code_is_built():
    with pytest.raises(ConfigError, match="not under allowed_targets"):
        compose(["model._target_=os.system"]).build("model")


def test_a_setting_of_the_wrong_kind_is_a_config_error():
    with pytest.raises(ConfigError, match="split"):
        compose(["split.targets=all"]).build("split")


def test_own_configurations_add_to_the_groups(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\nseed: 99\n")
    assert compose(["experiment=mine"], conf_dir=tmp_path)["seed"] == 99
    with pytest.raises(ConfigError, match="no folder"):
        compose([], conf_dir=tmp_path / "missing")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "mine.yaml").write_text("country: DE\n")
    assert compose(["+shop=mine"], conf_dir=tmp_path)["shop"] == {"country": "DE"}
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\nsede: 99\n")
    with pytest.raises(ConfigError, match="sede: no such setting"):
        compose(["experiment=mine"], conf_dir=tmp_path)


@pytest.mark.parametrize("written", [b"seed: [1\n", b"seed: \xff\n"])
def test_a_file_that_is_no_yaml_is_one_line(tmp_path, written):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_bytes(written)
    with pytest.raises(ConfigError, match="a file there is no YAML") as caught:
        compose(["experiment=mine"], conf_dir=tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("written", "message"), [("width: 3\n", "model._target_: missing"), ("[1, 2]\n", "mapping")])
def test_a_model_s_file_names_its_class(tmp_path, written, message):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text(written)
    with pytest.raises(ConfigError, match=message):
        compose(["model=mine"], conf_dir=tmp_path).build("model")


def test_one_s_own_folder_may_be_called_anything(tmp_path):
    folder = tmp_path / 'größe (1), "neu"'
    (folder / "experiment").mkdir(parents=True)
    (folder / "experiment" / "mine.yaml").write_text("# @package _global_\nseed: 99\n")
    assert compose(["experiment=mine"], conf_dir=folder)["seed"] == 99


def test_a_path_may_begin_at_home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ann")
    assert compose(["paths.runs='~/runs'"]).path("runs") == Path("/home/ann/runs")


def test_the_switch_of_tuning_may_be_written_as_in_python():
    assert compose(["tune=True"])["tune"]["enabled"] is True


def test_the_fingerprint_covers_what_it_names():
    first, second = compose(["model=ease"]), compose(["model=ease", "model.regularization=5"])
    assert first.fingerprint("model") != second.fingerprint("model")
    assert first.fingerprint("split") == second.fingerprint("split")


@pytest.mark.parametrize(
    ("key", "overrides", "message"),
    [
        ("model", ["model=sasrec", "model.width=wide"], "model.width: 'wide' does not fit; expected int, got str"),
        ("model", ["model=sasrec", "model.dropout=2"], "dropout: 2 is no share; use 0 or more, below 1"),
        ("model", ["model=popular", "model.window_days=a"], "model.window_days: 'a' does not fit"),
        ("model", ["model=itemknn", "model.self_similarity=1"], "model.self_similarity: 1 does not fit"),
        ("model", ["model._target_=recsys_lab.models.nothing.Model"], "recsys_lab.models.nothing"),
        ("split", ["split.exclude_seen=maybe"], "split.exclude_seen: 'maybe' does not fit; expected bool"),
        ("split", ["split.target_events=purchase"], "split.target_events: 'purchase' is no list; write [purchase]"),
        ("data", ["data=csv", "data.path=[a.csv,b.csv]"], "data.path: ['a.csv', 'b.csv'] does not fit; expected str"),
        ("data", ["data=otto", "data.path=2019"], "data.path: 2019 is a number; write"),
        ("data", ["data.n_users=many"], "data.n_users: 'many' does not fit; expected int, got str"),
    ],
)
def test_a_setting_of_another_type_is_named(key, overrides, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        compose(overrides).build(key, without="cleaning")
