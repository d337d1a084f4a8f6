"""What an export cannot choose any more: a run was made with its own data, split, model and re-ranking."""

from __future__ import annotations

import logging
import re

from recsys_lab.config import Config

LOG = logging.getLogger(__name__)
SETTLED = ("data", "split", "model", "rerank", "metrics")


def warn_of_settled(asked: Config, trained: Config, run: str) -> None:
    """A warning for overrides of ``asked`` that say another thing than what the ``run`` was ``trained`` with."""
    for group in SETTLED:
        said = [one for one in asked.overrides if re.split("[.@=]", one.lstrip("+~"))[0] == group]
        if said and asked[group] != trained[group]:
            LOG.warning("%s: changes nothing here, the run %s has its own %s", " ".join(said), run, group)
