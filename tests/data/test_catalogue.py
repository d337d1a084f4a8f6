"""A catalogue answers in strings, whatever its columns are made of."""

from typing import Any

import pandas as pd
import pytest

from recsys_lab.data.catalogue import Catalogue


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pd.Series(["tea", None, "cup"]), ["tea", "", "cup"]),
        (pd.Series(["tea", None, "cup"], dtype="category"), ["tea", "", "cup"]),
        (pd.Series([7, None, 8], dtype="Int64"), ["7", "", "8"]),
        (pd.Series([1.5, None, 3.0]), ["1.5", "", "3.0"]),
        (pd.Series([True, None, False]), ["True", "", "False"]),
        (pd.Series([pd.NaT, pd.NaT, pd.NaT]), ["", "", ""]),
    ],
)
def test_strings_are_blank_where_a_value_is_missing(values: Any, expected: list[str]) -> None:
    catalogue = Catalogue(pd.DataFrame({"item_id": list("abc"), "kind": values}))
    assert catalogue.strings("kind").tolist() == expected
    assert catalogue.categories("kind")[1] == sorted({"", *expected})
