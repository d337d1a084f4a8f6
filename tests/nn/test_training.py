"""The training loop on a parabola: its curve, when it stops, and which weights are left."""

import logging
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from pytorch_lightning.accelerators import CUDAAccelerator
from torch import Tensor, nn

from recsys_lab.errors import ConfigError, ModelError
from recsys_lab.nn.checkpoint import FILE
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
        self.passes = 0

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
    [
        {"max_epochs": 3},
        {"accelerater": "cpu"},
        {"accelerator": "abacus"},
        {"precision": "3-true"},
        {"precision": "bf16-true"},
        {"precision": "64-true"},
        {"accumulate_grad_batches": 0},
        {"accumulate_grad_batches": 1.5},
        {"num_nodes": 2},
    ],
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


def test_a_gpu_that_is_not_wanted_is_not_talked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CUDAAccelerator, "is_available", staticmethod(lambda: True))
    assert len(run(Parabola())) == 6


def test_progress_goes_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    run(Parabola(), trainer={"enable_progress_bar": True})
    assert capfd.readouterr().out == ""


class Noisy(nn.Module):
    """A table learnt from random draws, so that order, draws and optimiser state all leave their mark."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.table = nn.Embedding(8, 2)
        self.out = nn.Linear(2, 1)
        nn.init.constant_(self.table.weight, 0.3)
        nn.init.constant_(self.out.weight, 0.2)
        nn.init.zeros_(self.out.bias)

    def forward(self, batch: Tensor) -> Tensor:
        self.calls += 1
        rows = torch.randint(8, (16,))
        return ((self.out(self.table(rows))[:, 0] - rows.float() * batch.mean()) ** 2).mean()


class Shuffled(Steps):
    """Four batches that differ from pass to pass."""

    def __len__(self) -> int:
        return 4

    def __iter__(self) -> Iterator[Tensor]:
        return iter([torch.full((2,), 1.0 + self.passes + place / 4) for place in range(4)])


class KilledError(Exception):
    pass


def score_of(objective: Noisy, killed_at: int = 99) -> Callable[[], float]:
    """Something that goes up and down with the weights; raises when asked for the ``killed_at``-th time."""
    asked = 0

    def validate() -> float:
        nonlocal asked
        asked += 1
        if asked == killed_at:
            raise KilledError
        return objective.out.bias.item() * 7 % 1

    return validate


@pytest.mark.parametrize("changes", [{}, {"average": 0.9, "warmup_epochs": 0.5, "decay_epochs": 7}])
@pytest.mark.parametrize("optimizer", ["adam", "rowwise_adam"])
@pytest.mark.parametrize("validated", [True, False])
def test_a_killed_training_ends_as_if_it_had_not_been(
    tmp_path: Path, optimizer: Literal["adam", "rowwise_adam"], changes: dict[str, Any], validated: bool
) -> None:
    recipe = Recipe(optimizer=optimizer, max_epochs=6, patience=4, learning_rate=0.05, **changes)
    whole, broken, resumed = Noisy(), Noisy(), Noisy()
    curve = train(whole, Shuffled(1.0), recipe, validate=score_of(whole) if validated else None)

    batches = Shuffled(1.0)
    if not validated:
        broken.register_forward_pre_hook(lambda *_: stop_at(batches, 3))
    with pytest.raises(KilledError):
        train(broken, batches, recipe, validate=score_of(broken, 4) if validated else None, folder=tmp_path)

    def go_on(objective: Noisy, batches: Shuffled) -> list[dict[str, float]]:
        return train(objective, batches, recipe, validate=score_of(objective) if validated else None, folder=tmp_path)

    again = go_on(resumed, Shuffled(1.0))
    assert resumed.calls < whole.calls
    assert [{**entry, "seconds": 0} for entry in again] == [{**entry, "seconds": 0} for entry in curve]
    for name, weights in whole.state_dict().items():
        assert torch.equal(weights, resumed.state_dict()[name]), name

    done = Noisy()  # nothing is left to do
    go_on(done, Shuffled(float("nan")))
    assert torch.equal(done.table.weight, whole.table.weight)


def stop_at(batches: Shuffled, passes: int) -> None:
    if batches.passes == passes:
        raise KilledError


def test_a_damaged_checkpoint_is_an_error(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"not this")
    with pytest.raises(ModelError, match="damaged"):
        train(Noisy(), Shuffled(1.0), Recipe(), folder=tmp_path)


def test_the_average_is_what_is_left() -> None:
    plain, averaged = Parabola(), Parabola()
    run(plain)
    run(averaged, average=0.99)
    assert 0 < averaged.x.item() < plain.x.item(), "the average lags behind"


def test_the_row_wise_optimiser_needs_a_loss_that_looks_at_some_rows() -> None:
    class All(Noisy):
        def forward(self, batch: Tensor) -> Tensor:
            return self.table.weight.sum() * batch.mean()

    with pytest.raises(ConfigError, match="rowwise_adam"):
        run(All(), optimizer="rowwise_adam")


@pytest.mark.parametrize("settings", [{"accumulate_grad_batches": 5}, {"precision": "bf16-mixed"}])
def test_gradients_add_up_and_halves_are_enough(settings: dict[str, Any]) -> None:
    """Five equal batches make one step, or five; at half precision the parabola is still one."""
    objective = Parabola()
    run(objective, max_epochs=2, trainer=settings)
    steps = 2 if "accumulate_grad_batches" in settings else 10
    assert objective.x.item() == pytest.approx(0.1 * steps, rel=0.05)
