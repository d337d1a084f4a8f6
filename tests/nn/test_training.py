"""The training loop on a parabola: its curve, when it stops, and which weights are left."""

import logging
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recsys_lab.errors import ConfigError, ModelError
from recsys_lab.nn.recipe import Recipe
from recsys_lab.nn.training import train


class Parabola(nn.Module):
    """(x - 3)², whatever the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.zeros(()))

    def forward(self, batch: Tensor) -> Tensor:
        return batch.mean() * (self.x - 3) ** 2


class Steps:
    """Five batches; a plain list would mean five sources of batches to Lightning."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __len__(self) -> int:
        return 5

    def __iter__(self) -> Iterator[Tensor]:
        return iter([torch.full((2,), self.value)] * 5)


def run(objective: nn.Module, value: float = 1.0, **changes: Any) -> list[dict[str, float]]:
    validate = changes.pop("validate", None)
    recipe = Recipe(**{"learning_rate": 0.1, "max_epochs": 6, "patience": 2, **changes})
    return train(objective, Steps(value), recipe, validate=validate)


def scores(*values: float) -> Callable[[], float]:
    left = list(values)
    return lambda: left.pop(0)


def test_without_validation_every_epoch_runs() -> None:
    curve = run(Parabola())
    assert [entry["epoch"] for entry in curve] == [1, 2, 3, 4, 5, 6]
    losses = [entry["train_loss"] for entry in curve]
    assert losses == sorted(losses, reverse=True)
    assert all(entry.keys() == {"epoch", "train_loss", "seconds"} for entry in curve)


def test_it_stops_when_patience_is_used_up_and_puts_the_best_weights_back() -> None:
    objective, at_epoch = Parabola(), Parabola()
    run(at_epoch, max_epochs=2)
    curve = run(objective, validate=scores(0.1, 0.5, 0.5, 0.4, 0.9, 0.9))
    assert [entry["valid_ndcg@10"] for entry in curve] == [0.1, 0.5, 0.5, 0.4]
    assert objective.x.item() == at_epoch.x.item()


def test_a_late_rise_is_waited_for() -> None:
    curve = run(Parabola(), validate=scores(0.2, 0.1, 0.3, 0.1, 0.1, 0.9))
    assert len(curve) == 5


def test_validation_leaves_training_mode_on() -> None:
    objective = Parabola()
    modes = []
    objective.register_forward_pre_hook(lambda module, _: modes.append(module.training))

    def validate() -> float:
        objective.eval()
        return 0.0

    run(objective, validate=validate, max_epochs=2)
    assert modes == [True] * 10


def test_a_loss_without_a_value_is_an_error() -> None:
    with pytest.raises(ModelError, match="learning_rate"):
        run(Parabola(), float("nan"))


@pytest.mark.parametrize(
    "settings",
    [{"max_epochs": 3}, {"accelerater": "cpu"}, {"accelerator": "abacus"}, {"precision": "3-true"}, {"devices": 2}],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="trainer"):
        run(Parabola(), trainer=settings)


def test_ctrl_c_stays_an_interrupt() -> None:
    def interrupt() -> float:
        raise KeyboardInterrupt

    listener = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(Parabola(), validate=interrupt)
    assert signal.getsignal(signal.SIGINT) is listener


def test_it_is_silent(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        run(Parabola())
    assert capfd.readouterr() == ("", "")


def test_progress_goes_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    run(Parabola(), trainer={"enable_progress_bar": True})
    assert capfd.readouterr().out == ""
