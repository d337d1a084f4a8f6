import pytest
import torch

from recsys_lab.nn.dropout import Dropout


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_share_is_dropped_and_the_rest_scaled(share: float) -> None:
    torch.manual_seed(0)
    x = torch.ones(333, 301, requires_grad=True)  # not a multiple of eight
    dropped = Dropout(share)(x)
    assert (dropped == 0).float().mean().item() == pytest.approx(share, abs=0.01)
    assert len(dropped.unique()) == 2
    assert dropped.mean().item() == pytest.approx(1, abs=0.02)
    dropped.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, dropped.detach())


def test_neighbours_fall_independently() -> None:
    torch.manual_seed(0)
    kept = (Dropout(0.5)(torch.ones(100_000, 8)) > 0).float()
    torch.testing.assert_close(torch.corrcoef(kept.T), torch.eye(8), atol=0.02, rtol=0)


def test_a_share_of_nearly_all_leaves_some() -> None:
    torch.manual_seed(0)
    assert Dropout(0.999)(torch.ones(100_000)).mean().item() == pytest.approx(1, abs=0.2)


def test_evaluation_and_a_share_of_zero_change_nothing() -> None:
    x = torch.randn(4, 5)
    assert torch.equal(Dropout(0.5).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)
