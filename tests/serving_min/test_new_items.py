"""Catalogue entries as numbers, counted by hand."""

import math

import numpy as np
import pytest

from serving_min.content import ContentSpace, Entry, words_of
from serving_min.errors import RequestError
from serving_min.new_items import ItemReader

SPACE = ContentSpace(
    words={"black": 2.0, "tea": 1.0},
    categories=("drinks", "gifts"),
    brands=("Leafy",),
    price_edges=(5.0,),
    category_weight=0.5,
    brand_weight=0.0,
    price_weight=0.25,
)


def test_words_have_no_capitals_no_accents_and_two_letters() -> None:
    assert words_of(Entry(title="Thé Noir, 2 x 50g", text="d'été")) == ["the", "noir", "50g", "ete"]


def test_a_row_by_hand() -> None:
    """Tea twice: (1 + ln 2) · 1; black once: 2. The words' part has length 1, both categories share ½, the bucket ¼."""
    row = SPACE.row(Entry(title="Black Tea", text="tea unheard", category="gifts|drinks|new", brand="Leafy", price=5.0))
    words, whole = math.hypot(2, 1 + math.log(2)), math.sqrt(1 + 0.5**2 + 0.25**2)
    expected = {0: 2 / words, 1: (1 + math.log(2)) / words, 2: math.sqrt(0.5) / 2, 3: math.sqrt(0.5) / 2, 6: 0.25}
    assert row == pytest.approx({column: value / whole for column, value in expected.items()})
    assert SPACE.size == 7


def test_an_entry_that_says_nothing_known_has_an_empty_row() -> None:
    for entry in (Entry(), Entry(title="unheard of", brand="Leafy"), Entry(price=math.nan)):
        assert SPACE.row(entry) == {}


def test_the_reader_pads_rows_and_codes_labels() -> None:
    reader = ItemReader(SPACE, categories=("", "a", "a|b"), brands=("", "x"), price_edges=(1.0, 2.0))
    entries = [Entry(title="tea", category="a|b", brand="y", price=1.0), Entry(title="tea black", price=9.0), Entry()]
    found = reader.read(entries)
    assert found["labels"].tolist() == [[2, 0, 1], [0, 0, 3], [0, 0, 0]]
    assert found["columns"].tolist() == [[1, 5, -1], [1, 0, 6], [-1, -1, -1]]
    np.testing.assert_allclose((found["values"] ** 2).sum(axis=1), [1, 1, 0], rtol=1e-6)
    assert reader.read([])["labels"].shape == (0, 3)


def test_vectors_of_other_models_stand_side_by_side() -> None:
    """Each part has length 1; what an entry lacks is zeros."""
    reader = ItemReader(SPACE, ("",), ("",), None, text_vector=2, image_vector=3)
    entries = [Entry(title="tea", text_vector=(3.0, 4.0), image_vector=(0.0, 2.0, 0.0)), Entry(brand="x")]
    np.testing.assert_allclose(reader.read(entries)["vectors"], [[0.6, 0.8, 0.0, 1.0, 0.0], [0.0] * 5], rtol=1e-6)
    assert reader.read([])["vectors"].shape == (0, 5)


def test_a_model_without_vectors_ignores_them() -> None:
    reader = ItemReader(SPACE, ("",), ("",), None)
    assert "vectors" not in reader.read([Entry(title="tea", text_vector=(1.0,))])


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        (Entry(title="tea"), "text_vector: missing for 'tea'; send the 2 numbers"),
        (Entry(text_vector=(1.0,)), "text_vector: 1 numbers; this model was trained with 2"),
        (Entry(image_vector=(1.0, math.nan, 0.0)), "image_vector: .* all of them finite"),
    ],
)
def test_a_vector_that_does_not_fit_is_refused(entry: Entry, complaint: str) -> None:
    reader = ItemReader(SPACE, ("",), ("",), None, text_vector=2, image_vector=3)
    with pytest.raises(RequestError, match=complaint):
        reader.read([entry])
