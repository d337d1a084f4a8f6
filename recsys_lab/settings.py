"""Types of settings: those of the root file, and those that an object takes as arguments.

A wrong type is told before anything runs, by the setting's name as the user typed it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import msgspec

from recsys_lab.errors import ConfigError

Count = Annotated[int, msgspec.Meta(ge=0)]
AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]
CHOICES = {"tracker.name": ("none", "wandb"), "tracker.mode": (None, "online", "offline", "disabled")}
ROOT: dict[str, Any] = {
    **dict.fromkeys(("data", "split", "model", "rerank", "trainer", "export"), dict[str, Any]),
    "seed": Count,
    "models": list[str],
    "params": dict[str, dict[str, Any] | None],
    "recbole": dict[str, Any],
    "recbole.model": str,
    "recbole.settings": dict[str, Any],
    "allowed_targets": list[str],
    "paths": dict[str, Any],
    "paths.prepared": str,
    "paths.runs": str,
    "paths.studies": str,
    "paths.bundles": str,
    "paths.reports": str,
    "metrics": dict[str, Any],
    "metrics.cutoffs": Annotated[list[AtLeastOne], msgspec.Meta(min_length=1)],
    "metrics.primary": str,
    "metrics.bootstrap": Count,
    "tune": dict[str, Any],
    "tune.enabled": bool,
    "tune.trials": AtLeastOne,
    "tune.seconds": Annotated[float, msgspec.Meta(gt=0)] | None,
    "tune.workers": AtLeastOne,
    "tune.objectives": Annotated[list[str], msgspec.Meta(min_length=1)],
    "tune.pruner": str,
    "tune.storage": str | None,
    "tune.study": str | None,
    "tune.space": dict[str, Any],
    "tracker": dict[str, Any],
    "tracker.name": str,
    "tracker.project": str | None,
    "tracker.mode": str | None,
}


def check_root(tree: Mapping[str, Any]) -> None:
    """Raises ConfigError for a setting of ``ROOT`` that is missing or of another type."""
    for name, kind in ROOT.items():
        value: Any = tree
        for part in name.split("."):
            value = value.get(part)
        _check(name, value, kind)
        if name in CHOICES and value not in CHOICES[name]:
            there = ", ".join(choice for choice in CHOICES[name] if choice)
            raise ConfigError(f"{name}: {value!r} is unknown; use one of {there}")


def check_arguments(target: Any, settings: Mapping[str, Any], key: str) -> None:
    """Raises ConfigError when one of ``settings``, found under ``key``, has not the type that ``target`` says.

    Choices (Literal) are left to the object, which can say what they mean, and so are types of its own.
    """
    by_signature = isinstance(target, type) and not is_dataclass(target)  # fields are read where each is declared
    try:
        hints = get_type_hints(target.__init__ if by_signature else target)
    except (NameError, TypeError):  # names for type checkers only, or no hints at all
        return
    for name, hint in hints.items():
        if name in settings:
            _check(f"{key}.{name}", settings[name], _as_written(hint))


def _as_written(hint: Any) -> Any:
    """The type that a setting has in a file, where a path is a string."""
    kinds = [kind for kind in get_args(hint) if kind is not Path]
    return reduce(or_, kinds) if Path in get_args(hint) else hint


def in_words(error: msgspec.ValidationError) -> str:
    """What is wrong, and where; of a date also how one is written."""
    return str(error).replace("Invalid RFC3339 encoded date", "Expected a date, YYYY-MM-DD")


def _check(name: str, value: Any, kind: Any) -> None:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        said = str(error).partition(" - at `$")[0].replace("`", "")
        if said.startswith("Invalid enum value"):
            return
        if isinstance(value, str | int | float) and said.startswith("Expected array"):
            raise ConfigError(f"{name}: {value!r} is no list; write [{value}]") from None
        if type(value) in (int, float) and said.startswith("Expected str"):  # Hydra reads 2026 as a number
            raise ConfigError(
                f"""{name}: {value!r} is a number; write '{name}="{value}"' if that is its name"""
            ) from None
        said = said.replace("object", "a mapping {name: value}").replace("array", "a list [a, b]")
        raise ConfigError(f"{name}: {value!r} does not fit; {said[0].lower()}{said[1:]}") from None
    except TypeError:  # a type that msgspec does not know
        return
