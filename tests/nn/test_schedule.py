"""The learning rate at points that can be worked out by hand."""

from typing import Any

import pytest

from recsys_lab.errors import ConfigError
from recsys_lab.nn.recipe import Recipe
from recsys_lab.nn.schedule import learning_rate


@pytest.mark.parametrize(
    ("settings", "rates"),
    [
        ({}, {0: 1.0, 50: 1.0}),
        ({"warmup_epochs": 2.0}, {0: 0.0, 0.5: 0.25, 2: 1.0, 9: 1.0}),
        ({"decay_epochs": 10, "decay": "linear"}, {0: 1.0, 5: 0.5, 9: 0.1, 10: 0.0, 12: 0.0}),
        ({"decay_epochs": 12}, {0: 1.0, 4: 0.75, 6: 0.5, 12: 0.0}),
        ({"warmup_epochs": 0.5, "decay_epochs": 2, "decay": "linear"}, {0.25: 0.5, 0.5: 1.0, 1.25: 0.5, 2: 0.0}),
    ],
)
def test_it_rises_and_falls(settings: dict[str, Any], rates: dict[float, float]) -> None:
    recipe = Recipe(learning_rate=2.0, **settings)
    for epochs, rate in rates.items():
        assert learning_rate(recipe, epochs) == pytest.approx(2 * rate), epochs


@pytest.mark.parametrize(
    "settings",
    [
        {"decay": "steps"},
        {"decay_epochs": -1},
        {"decay_epochs": 2, "warmup_epochs": 2.0},
        {"average": 1.0},
        {"optimizer": "sgd"},
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        Recipe(**settings)
