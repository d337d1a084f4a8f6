from __future__ import annotations

import pytest

from serving_min.errors import StartError
from serving_min.settings import Settings


@pytest.mark.parametrize("name", ["folder", "url", "kafka"])
def test_what_is_set_to_nothing_is_no_place(name: str) -> None:
    with pytest.raises(StartError, match=rf"settings: options: .* length >= 1 - at `\$\.log\.{name}`"):
        Settings.read(log={name: ""})
