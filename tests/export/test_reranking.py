"""What is measured in the lab is what the server does with the same rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsys_lab.reranking import Reranking
from serving_min.bundle import Bundle
from serving_min.engine import Engine
from serving_min.rerank.facts import Facts
from serving_min.rules import Calibrated, Caps, Dpp, Exploration, Mmr, Rules
from tests.export.planted import SETTINGS, export, fitted, planted_fold, smallest_of_each_kind

RULES = {
    "mmr": Rules(variety=Mmr(0.6)),
    "dpp": Rules(variety=Dpp(0.6)),
    "calibrated": Rules(variety=Calibrated(0.5)),
    "capped": Rules(caps=Caps(category=2), depth=10),
    "exploring": Rules(exploration=Exploration(share=0.3, popularity_below=2.0)),
}


@pytest.mark.parametrize("kind", ["vector", "neighbours"])
def test_the_bundle_s_lists_after_the_rules_are_the_model_s(kind: str, tmp_path: Path) -> None:
    fold = planted_fold()
    model = fitted(smallest_of_each_kind()[kind], fold)
    bundle = Bundle.load(export(model, fold, tmp_path, settings={**SETTINGS, "target_recall": 1.0}))
    facts, engine = Facts.of(bundle), Engine(bundle)
    assert (facts.vectors is None) == (kind == "neighbours")
    own = model.recommend(fold.queries, 8)
    for rules in RULES.values():
        reranking = Reranking(rules)
        here = reranking.rank(model, fold.queries, 8)
        there = reranking.apply(engine.rank, facts, fold.queries, 8)
        assert (here.items != own.items).any(), "the rules did something"
        same = (here.items == there.items).all(axis=1)
        assert same.mean() >= 0.99, "up to scores that tie but for rounding"
        np.testing.assert_array_equal(here.filled[same], there.filled[same])
