"""Settings that do not exist: what may have been meant.

Hydra takes any name with a plus before it, and a misspelled one would do nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from recsys_lab.errors import ConfigError
from recsys_lab.export.settings import EXPORT
from recsys_lab.settings import ROOT

MAPPINGS = dict.fromkeys(name.rpartition(".")[0] for name in ROOT)
FIXED: dict[str, Sequence[str]] = {
    mapping: [name.rpartition(".")[2] for name in ROOT if name.rpartition(".")[0] == mapping] for mapping in MAPPINGS
} | {"export": EXPORT}  # the root, as "", and its mappings that have no other names than these


def check_names(tree: Mapping[str, Any], groups: Iterable[str], models: Iterable[str]) -> None:
    """Raises ConfigError for a name that nothing reads: at the root neither a setting nor one of the groups, in a
    mapping of the root no setting of it, in ``params`` none of the models.
    """
    packages = [re.split("[./]", group.rpartition("@")[2])[0] for group in groups]
    for mapping, names in {**FIXED, "": [*FIXED[""], *packages], "params": list(models)}.items():
        given = tree.get(mapping) if mapping else tree
        before = f"{mapping}." if mapping else ""
        for name in given if isinstance(given, Mapping) else ():
            if name not in names:
                known = dict.fromkeys(names)
                raise ConfigError(no_such_setting(f"{before}{name}", {mapping: known} if mapping else known))


def no_such_setting(name: str, tree: Mapping[str, Any], override: str | None = None) -> str:
    """What to say of a ``name``, model.widht, that ``tree`` lacks: the nearest one there, or how ``override`` adds it.

    Nothing can be added to the root and its fixed mappings, nor to what is built.
    """
    there: Any = tree
    before: list[str] = []
    for wrong in name.split("."):
        if not isinstance(there, Mapping) or wrong not in there:
            break
        there = there[wrong]
        before.append(wrong)
    known = sorted(map(str, there)) if isinstance(there, Mapping) else []
    near = get_close_matches(wrong, known, n=1)
    ways = [f"did you mean {'.'.join([*before, near[0]])}?"] if near else []
    if override and ".".join(before) not in FIXED and "_target_" not in known:
        ways.append(f"+{override} adds it")
    elif not near:
        ways.append(f"there are {', '.join(one for one in known if one != '_target_') or 'none'}")
    return f"{'.'.join([*before, wrong])}: no such setting; {' '.join(ways)}"
