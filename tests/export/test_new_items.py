"""An item that came after the training gets its vector from the bundle alone."""

from pathlib import Path

import numpy as np
import pytest
import torch

from recsys_lab.data.features import entries
from recsys_lab.errors import ParityError
from recsys_lab.export.new_items import write_new_items
from recsys_lab.models.content import Content
from recsys_lab.models.two_tower import TwoTower
from serving_min.bundle import Bundle
from serving_min.content import Entry
from tests.export.planted import export, planted_fold
from tests.models.conformance import TOUCHED, ask, checkerboard, colours


@pytest.fixture(scope="module")
def model() -> TwoTower:
    """Items 16 and 17, a tea and a hammer, were never touched."""
    settings = {"width": 16, "max_history": 8, "batch_size": 64, "max_epochs": 10, "learning_rate": 0.01}
    return TwoTower(**settings, id_dropout=0.3).fit(checkerboard(), catalogue=colours())


def test_the_files_give_untouched_items_the_model_s_vectors(model: TwoTower, tmp_path: Path) -> None:
    described = write_new_items(model, tmp_path)
    assert described is not None
    assert described.items == len(model.catalogue)
    assert described.worst_difference < 1e-5


def test_a_bundle_places_an_item_that_is_in_no_catalogue(tmp_path: Path) -> None:
    fold = planted_fold()
    model = TwoTower(max_epochs=1, max_history=6, batch_size=64).fit(fold.train, catalogue=fold.catalogue)
    bundle = Bundle.load(export(model, fold, tmp_path))
    assert bundle.new_items is not None
    vectors = bundle.new_items.vectors([*entries(fold.catalogue)[:2], Entry(title="unheard of")])
    assert vectors.shape == (3, model.width)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_new_tea_is_for_who_likes_tea(model: TwoTower) -> None:
    found = model.new_items()
    assert found is not None
    module, reader, without_id = found
    assert without_id.tolist() == [TOUCHED, TOUCHED + 1]
    new = [
        Entry(title="oolong tea", text="leaves for a warm cup", category="drinks", brand="Leafy", price=3.1),
        Entry(title="claw hammer", text="forged steel with a handle", category="tools", brand="Forge", price=31.0),
    ]
    inputs = reader.read(new)
    with torch.inference_mode():
        vectors = module.eval()(*map(torch.from_numpy, inputs.values())).numpy()
    scores = model.encode(ask([[0, 2, 4], [1, 3, 5]])) @ vectors.T
    assert scores.argmax(axis=1).tolist() == [0, 1]


def test_a_model_that_cannot_place_new_items_writes_nothing(tmp_path: Path) -> None:
    assert write_new_items(Content().fit(checkerboard(), catalogue=colours()), tmp_path) is None
    assert write_new_items(TwoTower(max_epochs=1).fit(checkerboard()), tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_vector_that_differs_is_refused(model: TwoTower, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "_vectors", model.item_vectors() + 1)
    with pytest.raises(ParityError, match=r"items\.onnx: a vector differs"):
        write_new_items(model, tmp_path)
