"""Answers that nobody sees, compared with those that were given."""

from __future__ import annotations

import logging

from serving_min.messages import Answer

LOG = logging.getLogger(__name__)


class Comparison:
    """``overlap`` is the mean share of the given items that the shadow has too, ``same`` counts equal lists."""

    def __init__(self) -> None:
        self.compared = self.same = 0
        self._shared = 0.0

    @property
    def overlap(self) -> float | None:
        return self._shared / self.compared if self.compared else None

    def record(self, given: Answer, shadow: Answer) -> None:
        ours, theirs = [item.id for item in given.items], [item.id for item in shadow.items]
        share = len({*ours} & {*theirs}) / max(1, len(ours), len(theirs)) if ours or theirs else 1.0
        self.compared += 1
        self.same += ours == theirs
        self._shared += share
        LOG.info("shadow %s %s: %s overlap %.3f", shadow.model, shadow.model_version, given.request_id, share)
