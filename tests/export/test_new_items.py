"""An item that came after the training gets its vector from the bundle alone."""

from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest
import torch

from recsys_lab.data.catalogue import Catalogue
from recsys_lab.data.features import entries
from recsys_lab.errors import ParityError
from recsys_lab.export.encoder import open_session
from recsys_lab.export.new_items import write_new_items
from recsys_lab.models.content import Content
from recsys_lab.models.two_tower import TwoTower
from serving_min.bundle import Bundle
from serving_min.content import Entry
from serving_min.errors import RequestError
from serving_min.new_items import ItemReader, NewItems
from tests.export.planted import export, planted_fold
from tests.models.conformance import ITEMS, TOUCHED, ask, checkerboard, colours

SMALL = {"width": 16, "max_history": 8, "batch_size": 64, "max_epochs": 10, "learning_rate": 0.01}


@pytest.fixture(scope="module")
def model() -> TwoTower:
    """Items 16 and 17, a tea and a hammer, were never touched."""
    return TwoTower(**SMALL, id_dropout=0.3).fit(checkerboard(), catalogue=colours())


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


def with_vectors() -> Catalogue:
    """Only the vectors tell tea from tools; the last tool has no picture."""
    even = np.arange(ITEMS) % 2 == 0
    pictures = [[1.0, 0.0, 0.0] if tea else [0.0, 1.0, 1.0] for tea in even[:-1]]
    texts = [[0.0, 2.0] if tea else [1.0, 0.0] for tea in even]
    names = [f"article {code}" for code in range(ITEMS)]
    frame = {"item_id": names, "title": names, "text_vector": texts, "image_vector": [*pictures, None]}
    return Catalogue(pd.DataFrame(frame))


def test_vectors_of_sentence_and_image_models_go_along(tmp_path: Path) -> None:
    catalogue = with_vectors()
    model = TwoTower(**SMALL, id_dropout=0.3).fit(checkerboard(), catalogue=catalogue)
    described = write_new_items(model, tmp_path)
    assert described is not None
    assert described.worst_difference < 1e-5
    reader = msgspec.json.decode((tmp_path / "item_features.json").read_bytes(), type=ItemReader)
    assert (reader.text_vector, reader.image_vector) == (2, 3)
    new = [Entry(title="new", text_vector=(0.0, 1.0)), Entry(title="new", text_vector=(1.0, 0.0))]
    vectors = NewItems(reader, open_session(tmp_path / "items.onnx")).vectors(new)
    scores = model.encode(ask([[0, 2, 4], [1, 3, 5]])) @ vectors.T
    assert scores.argmax(axis=1).tolist() == [0, 1]
    with pytest.raises(RequestError, match="text_vector: missing for 'new'"):
        reader.read([Entry(title="new")])


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
