"""Configuration: the only file that imports hydra. Compose, resolve, build.

A configuration is a list of overrides on ``conf/config.yaml``, as Hydra writes them:
``model=ease model.regularization=100 data=csv data.path=log.csv``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any

from recsys_lab.errors import ConfigError

PACKAGE = Path(__file__).resolve().parent
SHORT = {f"tune={on}": f"tune.enabled={on}" for on in ("true", "false")}  # tune is a group, whose choices are models


@dataclass(frozen=True)
class Config:
    """A composed configuration: ``tree`` holds plain, resolved dicts, lists and values."""

    tree: dict[str, Any]
    overrides: tuple[str, ...] = ()
    conf_dir: Path | None = None
    choices: dict[str, str] = field(default_factory=dict)  # group → chosen file, "model" → "ease"

    def __getitem__(self, key: str) -> Any:
        return self.tree[key]

    def path(self, name: str) -> Path:
        """``paths.<name>``, relative to the working directory; ~ is the home folder."""
        return Path(self.tree["paths"][name]).expanduser()

    def but(self, *overrides: str) -> Config:
        """The same configuration with further overrides."""
        return compose([*self.overrides, *overrides], conf_dir=self.conf_dir)

    def for_model(self, model: str) -> Config:
        """This configuration with one model chosen, and what ``params`` says about it."""
        return self.but(f"model={model}")

    def adopting(self, asked: Config, groups: Sequence[str]) -> Config:
        """This configuration with what the overrides of ``asked`` name under ``groups``, as it is there.

        An experiment may speak of all of them.
        """
        tree = deepcopy(self.tree)
        names = [named(override) for override in asked.overrides]
        if "experiment" in names:
            names += groups
        for *parents, last in (name.split(".") for name in names if name.partition(".")[0] in groups):
            node, given = tree, asked.tree
            for parent in parents:
                node, given = node.setdefault(parent, {}), given[parent]
            node.pop(last, None)
            node |= {last: given[last]} if last in given else {}
        return replace(self, tree=tree)

    def build(self, key: str, *, without: str | None = None) -> Any:
        """The object that the node at ``key`` (dots allowed) describes with ``_target_``.

        ``without`` names a child that is not an argument of it.
        Raises ConfigError when the target is not allowed or a setting does not fit.
        """
        from hydra.errors import InstantiationException
        from hydra.utils import instantiate

        from recsys_lab.settings import check_arguments

        node: Any = self.tree
        for part in key.split("."):
            node = node[part]
        node = {name: child for name, child in node.items() if name != without}
        self._check_targets(node, key)
        if "_target_" not in node:
            raise ConfigError(f"{key}._target_: missing; it names the class that these settings are of")
        try:
            check_arguments(_named(node["_target_"]), node, key)
            return instantiate(node, _convert_="all")
        except InstantiationException as error:
            cause = error.__cause__ or error
            raise ConfigError(f"{key}: {' '.join(str(cause).split())}") from error

    def to_yaml(self) -> str:
        from omegaconf import OmegaConf

        return OmegaConf.to_yaml(OmegaConf.create(self.tree))

    def fingerprint(self, *keys: str) -> str:
        """sha256 over the named parts of the tree."""
        return hashlib.sha256(json.dumps({key: self.tree[key] for key in keys}, sort_keys=True).encode()).hexdigest()

    def _check_targets(self, node: Any, key: str) -> None:
        allowed = tuple(self.tree["allowed_targets"])
        if isinstance(node, Mapping):
            target = node.get("_target_")
            if target is not None and not str(target).startswith(allowed):
                raise ConfigError(f"{key}._target_: {target!r} is not under allowed_targets {list(allowed)}")
            for name, child in node.items():
                self._check_targets(child, f"{key}.{name}")


def named(override: str) -> str:
    """The setting, or the group, that an override is about: "metrics.cutoffs" of ``++metrics.cutoffs=[5]``."""
    key = override.lstrip("+~").partition("=")[0]
    return (key.partition("@")[2] or key).replace("/", ".")


def _named(target: str) -> Any:
    """What ``target`` names, or None: building it says why it cannot be had."""
    module, _, name = target.rpartition(".")
    try:
        return getattr(import_module(module), name, None)
    except (ImportError, ValueError):
        return None


def conf_folder() -> Path:
    """The packaged ``conf`` of an installed wheel, or the repository's in a checkout."""
    for folder in (PACKAGE / "conf", PACKAGE.parent / "conf"):
        if (folder / "config.yaml").is_file():
            return folder
    raise ConfigError(f"no conf/config.yaml beside {PACKAGE}; reinstall recsys-lab")


def compose(overrides: Sequence[str] = (), *, conf_dir: Path | None = None) -> Config:
    """Compose ``conf/config.yaml`` with overrides. ``conf_dir`` adds the user's own files to the groups.

    What ``params`` says about the chosen model is part of ``model`` in the result; an override of
    ``model`` itself goes before it. Raises ConfigError in one line for an unknown group, choice or key.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    from recsys_lab.misspelled import check_names, no_such_setting
    from recsys_lab.settings import check_root

    if conf_dir is not None and not conf_dir.is_dir():
        raise ConfigError(f"--conf-dir: {conf_dir} is no folder")
    written = [SHORT.get(override.lower(), override) for override in overrides]
    _check_written(written, conf_dir)
    search = [] if conf_dir is None else [f"hydra.searchpath=[{_quoted(f'file://{conf_dir.resolve()}')}]"]
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf_folder()), version_base="1.3"):
            composed = hydra_compose("config", [*written, *search], return_hydra_config=True)
        HydraConfig.instance().cfg = None
        choices = {key: str(value) for key, value in composed.hydra.runtime.choices.items() if "hydra/" not in key}
        OmegaConf.set_struct(composed, False)
        del composed["hydra"]
        tree = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException) as error:
        said = " ".join(str(error).split())
        for override in overrides:
            if said.startswith(f"Could not override '{override.partition('=')[0]}'."):
                others = compose([other for other in overrides if other != override], conf_dir=conf_dir)
                unknown = getattr(error.__cause__, "full_key", override.partition("=")[0])
                raise ConfigError(no_such_setting(unknown, others.tree, override)) from error
        raise ConfigError(said.partition(" Config search path:")[0]) from error
    except (YAMLError, UnicodeDecodeError) as error:  # of a file of the user's own
        raise ConfigError(f"{conf_dir}: a file there is no YAML: {' '.join(str(error).split())}") from error
    assert isinstance(tree, dict)
    settings = {str(key): value for key, value in tree.items()}
    check_names(settings, choices, _choices("model", conf_dir))
    check_root(settings)
    model = _merged(
        _with_members(settings, overrides), _params(settings, choices["model"], settings["model"], overrides)
    )
    return Config({**settings, "model": model}, tuple(overrides), conf_dir, choices)


def combinations(overrides: Sequence[str]) -> list[tuple[dict[str, str], list[str]]]:
    """Each combination of the values that overrides list, ``model=ease,als seed=1,2`` being four: its values by
    setting, and its overrides. Those of the last setting vary quickest.

    Raises ConfigError where nothing has several values, something has that are not listed, or is set twice.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    parser, swept = OverridesParser.create(), dict[str, list[str]]()
    for override in overrides:
        try:
            parsed = parser.parse_override(override)
        except HydraException:
            continue  # ``compose`` says what is wrong
        try:
            if not parsed.is_sweep_override():
                continue
            swept[override] = list(dict.fromkeys(map(str, parsed.sweep_string_iterator())))
        except (HydraException, OmegaConfBaseException) as error:
            ways = "a,b,c or range(1,4); `recsys-lab tune` searches intervals"
            raise ConfigError(f"{override}: its values are not listed; write {ways}") from error
        if not swept[override]:
            raise ConfigError(f"{override}: lists no value")
        again = [other for other in overrides if named(other) == named(override) and other is not override]
        if again:
            raise ConfigError(f"{override}: {again[0]} says something else about it; write one of them")
    if not swept:
        raise ConfigError("no setting has several values; write seed=1,2,3 or model=ease,als")
    keys = [override.partition("=")[0] for override in swept]
    found = []
    for values in product(*swept.values()):
        chosen = dict(zip(keys, values, strict=True))
        written = dict(zip(swept, (f"{key}={value}" for key, value in chosen.items()), strict=True))
        settings = {key.lstrip("+"): value for key, value in chosen.items()}
        found.append((settings, [written.get(override, override) for override in overrides]))
    return found


def _check_written(overrides: Sequence[str], conf_dir: Path | None) -> None:
    """Raises ConfigError for what is no single NAME=VALUE, and for a group that is given no name of a file."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser = OverridesParser.create()
    for override in overrides:
        name, _, text = override.partition("=")
        quoted = f"""'{name}={_quoted(text)}'"""
        try:
            parsed = parser.parse_override(override)
            value, group = parsed.value(), parsed.key_or_group
        except HydraException as error:
            ways = f"NAME=VALUE; a text with special signs in quotes of its own: {quoted}" if text else "NAME=VALUE"
            raise ConfigError(f"{override}: cannot be read; write {ways}") from error
        if not group:
            raise ConfigError(f"{override}: cannot be read; write NAME=VALUE")
        if parsed.is_sweep_override():
            raise ConfigError(
                f"{override}: is several values; write [{text}] for a list, or {quoted} for one text; "
                "`recsys-lab sweep` tries each"
            )
        choices = [*_choices(group, conf_dir), *(("true", "false") if group == "tune" else ())]
        fits = value in choices if group == "tune" else isinstance(value, str if group == "model" else str | list)
        if choices and not (fits or isinstance(value, dict) or parsed.is_delete()):
            raise ConfigError(f"{override}: {group} is a group; write {group}=NAME, one of {', '.join(choices)}")


def _choices(group: str, conf_dir: Path | None) -> list[str]:
    """The files of a group, the user's own too; none of what is no group."""
    folders = [folder / group for folder in (conf_folder(), conf_dir) if folder is not None] if group else []
    return sorted({path.relative_to(top).with_suffix("").as_posix() for top in folders for path in top.rglob("*.yaml")})


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'


def _params(
    tree: Mapping[str, Any], model: str, settings: Mapping[str, Any], overrides: Sequence[str], node: str = "model"
) -> dict[str, Any]:
    """What ``params`` says about ``model``, whose settings are at ``node``, less what the overrides say themselves."""
    params = tree["params"].get(model) or {}
    unknown = set(params) - set(settings)
    if unknown:
        known = sorted(set(settings) - {"_target_"})
        raise ConfigError(f"params.{model}: no such setting {sorted(unknown)}; it has {known}")
    said = {override.lstrip("+").partition("=")[0] for override in overrides}
    return {name: value for name, value in params.items() if f"{node}.{name}" not in said}


def _with_members(tree: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """The model's settings; what ``params`` says about a model holds for it as a member of another, too."""
    members = {}
    given = tree["model"].get("members") or {}
    if not isinstance(given, Mapping) or not all(isinstance(member, Mapping) for member in given.values()):
        raise ConfigError(f"model.members: {given!r} are no models; ~model.members.als leaves one out")
    for name, member in given.items():
        kind = str(member.get("_target_")).split(".")[-2:][0]  # a model's file is called like its yaml
        members[name] = _merged(member, _params(tree, kind, member, overrides, f"model.members.{name}"))
    return {**tree["model"], **({"members": members} if members else {})}


def _merged(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``settings`` with ``changes``, mapping by mapping."""
    return {
        **settings,
        **{
            name: _merged(settings[name], value)
            if isinstance(value, Mapping) and isinstance(settings.get(name), Mapping)
            else value
            for name, value in changes.items()
        },
    }
