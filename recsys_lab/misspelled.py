"""Settings that do not exist: what may have been meant.

Hydra takes any name with a plus before it, and a misspelled one would do nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from recsys_lab.errors import ConfigError
from recsys_lab.settings import ROOT


def check_names(tree: Mapping[str, Any], groups: Iterable[str]) -> None:
    """Raises ConfigError for a name at the root that nothing reads: it is neither a setting nor one of the groups."""
    settings = [name.partition(".")[0] for name in ROOT]
    packages = [re.split("[./]", group.rpartition("@")[2])[0] for group in groups]
    known = dict.fromkeys([*settings, *packages])
    for name in tree:
        if name not in known:
            raise ConfigError(no_such_setting(str(name), known))


def no_such_setting(override: str, tree: Mapping[str, Any]) -> str:
    """What to say of an ``override``, ``model.widht=3``, of a setting that ``tree`` lacks: the nearest name there.

    Nothing can be added to the root, nor to what is built.
    """
    there: Any = tree
    before: list[str] = []
    for wrong in override.partition("=")[0].split("."):
        if not isinstance(there, Mapping) or wrong not in there:
            break
        there = there[wrong]
        before.append(wrong)
    known = sorted(map(str, there)) if isinstance(there, Mapping) else []
    near = get_close_matches(wrong, known, n=1)
    ways = [f"did you mean {'.'.join([*before, near[0]])}?"] if near else []
    if before and "_target_" not in known:
        ways.append(f"+{override} adds it")
    elif not near:
        ways.append(f"there are {', '.join(name for name in known if name != '_target_') or 'none'}")
    return f"{'.'.join([*before, wrong])}: no such setting; {' '.join(ways)}"
