"""What conf/tune says is tried, and that every file there fits its model."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from recsys_lab.config import compose
from recsys_lab.errors import ConfigError
from recsys_lab.tuning.space import Space

CONF = Path(__file__).resolve().parents[2] / "conf"
MODEL = {"_target_": "…", "width": 64, "loss": "softmax", "negatives": 256, "rate": 0.1, "blocks": 2}


def drawn(space: Space, trials: int = 40) -> list[dict[str, Any]]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [space.suggest(study.ask()) for _ in range(trials)]


@pytest.mark.parametrize("path", sorted(CONF.glob("tune/*.yaml")), ids=lambda path: path.stem)
def test_every_file_fits_its_model(path: Path) -> None:
    """Each named setting is one of the model, its present value can be drawn, and so can values that build."""
    config = compose([f"model={path.stem}"])
    assert config.choices["tune"] == path.stem
    space = Space.of(config["tune"]["space"], config["model"], path.stem)
    point = space.within(config["model"])
    assert point is not None, "a setting's default is not among what is tried"
    assert all(config["model"][name] == value for name, value in point.items())
    seen: dict[str, set[Any]] = {}
    for settings in drawn(space):
        replace(config, tree={**config.tree, "model": {**config["model"], **settings}}).build("model")
        for name, value in settings.items():
            seen.setdefault(name, set()).add(value)
    assert set(seen) == set(space.parts)
    assert all(len(values) > 1 for values in seen.values()), seen


def test_every_model_of_the_default_comparison_can_be_tuned() -> None:
    missing = [name for name in compose()["models"] if not (CONF / "tune" / f"{name}.yaml").is_file()]
    assert not missing


def test_spans_choices_and_conditions_are_kept() -> None:
    described = {
        "loss": ["softmax", "sampled"],
        "negatives": {"low": 8, "high": 64, "log": True, "when": {"loss": "sampled"}},
        "rate": {"low": 0.1, "high": 0.5, "step": 0.2},
        "blocks": {"choices": [1, 3], "when": {"loss": "softmax"}},
    }
    trials = drawn(Space.of(described, MODEL, "mine"))
    assert {settings["loss"] for settings in trials} == {"softmax", "sampled"}
    for settings in trials:
        assert ("negatives" in settings) == (settings["loss"] == "sampled")
        assert ("blocks" in settings) == (settings["loss"] == "softmax")
        assert 8 <= settings.get("negatives", 8) <= 64
        assert isinstance(settings.get("negatives", 8), int)
        assert settings["rate"] == pytest.approx(0.1) or settings["rate"] in (pytest.approx(0.3), pytest.approx(0.5))


def test_the_present_settings_are_a_point_of_the_space_or_not() -> None:
    space = Space.of({"width": [32, 64], "loss": ["softmax"], "rate": {"low": 0.05, "high": 0.2}}, MODEL, "mine")
    assert space.within(MODEL) == {"width": 64, "loss": "softmax", "rate": 0.1}
    assert space.within({**MODEL, "width": 48}) is None
    assert space.within({**MODEL, "rate": 0.3}) is None
    assert Space.of({"width": [1, 0]}, MODEL, "mine").within({**MODEL, "width": True}) is None


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ({}, "nothing says what to try for mine; write conf/tune/mine.yaml"),
        ({"widht": [1, 2]}, "tune.space.widht: mine has no such setting; it has ['blocks', 'loss'"),
        ({"width": []}, "tune.space.width: an empty list"),
        ({"width": 64}, "tune.space.width: 64 cannot be tried"),
        ({"width": {"low": 1}}, "missing required field `high`"),
        ({"width": {"low": 1, "high": 2, "lgo": True}}, "unknown field `lgo`"),
        ({"width": {"low": 3, "high": 2}}, "low 3 is above high 2"),
        ({"rate": {"low": 0.0, "high": 2, "log": True}}, "log needs a low above 0"),
        ({"rate": {"low": 0.1, "high": 2, "log": True, "step": 0.1}}, "step 0.1 must be positive"),
        ({"negatives": {"low": 1, "high": 2, "when": {"loss": "a"}}, "loss": ["a", "b"]}, "['loss'] must be tried too"),
    ],
)
def test_what_cannot_be_tried_is_one_line(described: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        Space.of(described, MODEL, "mine")
