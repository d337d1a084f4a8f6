"""Every model of the package leaves the house as it was trained."""

from pathlib import Path
from typing import Any

import pytest

from recsys_lab.models.als import ALS
from recsys_lab.models.also_viewed import AlsoViewed
from recsys_lab.models.base import Recommender
from recsys_lab.models.bought_together import BoughtTogether
from recsys_lab.models.bpr import BPR
from recsys_lab.models.content import Content
from recsys_lab.models.ease import EASE
from recsys_lab.models.hybrid import Hybrid
from recsys_lab.models.itemknn import ItemKNN
from recsys_lab.models.ncf import NCF
from recsys_lab.models.popular import Popular
from recsys_lab.models.popular_by_category import PopularByCategory
from recsys_lab.models.ranker import Ranker
from recsys_lab.models.repeat import Repeat
from recsys_lab.models.sasrec import SASRec
from recsys_lab.models.slim import SLIM
from recsys_lab.models.two_tower import TwoTower
from recsys_lab.models.userknn import UserKNN
from recsys_lab.models.vsknn import VSkNN
from recsys_lab.models.wide_deep import WideDeep
from serving_min.bundle import Bundle
from serving_min.vectors import Vectors
from tests.export.planted import SETTINGS, export, fitted, planted_fold

QUICK: dict[str, Any] = {"max_epochs": 1, "max_history": 6, "batch_size": 64}
SECOND: dict[str, Any] = {"days": 10.0, "folds": 2, "depth": 30, "exclude_seen": True}
TREES: dict[str, Any] = {"trees": 8, "leaves": 6, "leaf_rows": 10}
FAMILIES: dict[str, Recommender] = {
    "popular": Popular(window_days=28.0),
    "popular_by_category": PopularByCategory(),
    "itemknn": ItemKNN(),
    "userknn": UserKNN(neighbours=20, counts="sum", weighting="bm25", shrinkage=1.0),
    "ease": EASE(),
    "slim": SLIM(),
    "bpr": BPR(factors=8, epochs=2),
    "bought_together": BoughtTogether(support=2),
    "also_viewed": AlsoViewed(),
    "repeat": Repeat(),
    "vsknn": VSkNN(),
    "vsknn, the whole history": VSkNN(gap=None, recent=20, neighbours=5),
    "als": ALS(factors=8, iterations=2, solver_steps=3),
    "content": Content(),
    "two_tower": TwoTower(**QUICK),
    "two_tower of sequences": TwoTower(history_tower="sequence", heads=2, content_match=0.1, **QUICK),
    "hybrid of every kind": Hybrid(
        members={"repeat": Repeat(), "popular": Popular(), "vsknn": VSkNN(), "als": ALS(factors=8, iterations=2)},
        days=10.0,
        depth=30,
    ),
    "hybrid of ranks": Hybrid(members={"ease": EASE(), "itemknn": ItemKNN()}, by="ranks", weights="equal", depth=30),
    "ranker": Ranker(members={"repeat": Repeat(), "popular": Popular(), "ease": EASE()}, **SECOND, **TREES),
    "wide_deep": WideDeep(members={"repeat": Repeat(), "ease": EASE()}, epochs=2, **SECOND),
    "ncf": NCF(members={"repeat": Repeat(), "als": ALS(factors=8, iterations=2)}, epochs=2, max_history=6, **SECOND),
    "sasrec": SASRec(width=16, use_events=True, **QUICK),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_bundle_s_lists_are_the_model_s(family: str, tmp_path: Path) -> None:
    fold = planted_fold()
    model = fitted(FAMILIES[family], fold)
    model.save(tmp_path / "model")
    restored = Recommender.load(tmp_path / "model")
    path = export(restored, fold, tmp_path, settings={**SETTINGS, "target_recall": 1.0})
    bundle = Bundle.load(path)
    parity = bundle.manifest.parity
    assert (parity.exact, parity.identical, parity.recall) == (model.kind != "ranker", 1.0, 1.0)
    assert parity.worst_score_difference <= 1e-5
    if isinstance(bundle.model, Vectors):
        assert bundle.model.together, "its histories can be encoded in company"
