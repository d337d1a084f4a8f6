"""The models beside the exported one: a shop's surfaces ask for more than one model can say."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from recsys_lab.config import Config, compose, named
from recsys_lab.data.fold import Fold
from recsys_lab.errors import ConfigError, ModelError
from recsys_lab.models.base import Recommender
from serving_min.manifest import MEMBER_NAME
from serving_min.surfaces import BUILT_IN, SEGMENT

LOG = logging.getLogger(__name__)


def fit_companions(config: Config, fold: Fold) -> dict[str, Recommender]:
    """The models of ``export.companions`` by name, fitted on the fold's log.

    One that refuses these data (ModelError) is left out with a warning, and surfaces go without it. Raises ConfigError
    for an entry that names no model.
    """
    fitted: dict[str, Recommender] = {}
    for name, settings in _configured(config).items():
        label, overrides = _read(name, settings)
        model: Recommender = config.for_model(label).but(*overrides).build("model")
        try:
            fitted[name] = model.fit(fold.train, catalogue=fold.catalogue)
        except ModelError as error:
            LOG.warning("companion %s is left out: %s", name, error)
    return fitted


def check_names(names: Iterable[str], members: Collection[str] = ()) -> None:
    """Raises ConfigError for a companion whose name no folder of a bundle can have, or that is something else's: a
    source that is there anyway, or one of the exported model's ``members``."""
    for name in names:
        if not MEMBER_NAME.fullmatch(name):
            raise ConfigError(f"export.companions: {name!r} is no name; use letters, digits and '_', no digit first")
        if name in (*BUILT_IN, SEGMENT):
            raise ConfigError(f"export.companions: {name!r} is a source that there is anyway; use another name")
        if name in members:
            raise ConfigError(f"export.companions: {name!r} is a member of the exported model; use another name")


def companion_names(config: Config) -> list[str]:
    """The companions that there are, and those that an override took away: what asks them goes without.

    Raises what ``check_names`` does.
    """
    others = [said for said in config.overrides if not named(said).startswith("export.companions")]
    whole = compose(others, conf_dir=config.conf_dir)
    names = list(dict.fromkeys(str(name) for one in (config, whole) for name in _configured(one)))
    check_names(names)
    return names


def _configured(config: Config) -> Mapping[str, Any]:
    """None where an override took them all away, ``~export.companions`` or ``export.companions=null``."""
    companions = config["export"].get("companions") or {}
    if not isinstance(companions, Mapping):
        raise ConfigError(
            f"export.companions: {companions!r} names none; write {{also_viewed: {{model: also_viewed}}}}"
        )
    return companions


def _read(name: str, settings: Any) -> tuple[str, list[str]]:
    if not isinstance(settings, Mapping) or "model" not in settings:
        raise ConfigError(f"export.companions.{name}: {settings!r} names no model; write {{model: also_viewed}}")
    return str(settings["model"]), [f"model.{key}={value}" for key, value in settings.items() if key != "model"]
