"""What every block must do: one query alone, dead or open gates, and no sight of what is hidden."""

import pytest
import torch

from recsys_lab.nn.attention import Attention, Padded
from recsys_lab.nn.blocks import BLOCKS, LiGR, Original, PostNorm

B, T, D = 3, 5, 8


@pytest.fixture
def x() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(B, T, D)


VISIBLE = torch.ones(T, T).tril().bool()[None, None]
CAUSAL = Padded(VISIBLE)


@pytest.mark.parametrize("kind", BLOCKS)
def test_the_last_position_alone_is_the_last_of_all(kind: str, x: torch.Tensor) -> None:
    block = BLOCKS[kind](D, 2, 12, 0.3).eval()
    torch.testing.assert_close(block(x, Padded(VISIBLE, last_only=True)), block(x, CAUSAL)[:, -1:])


@pytest.mark.parametrize("kind", BLOCKS)
def test_what_is_hidden_has_no_influence(kind: str, x: torch.Tensor) -> None:
    block = BLOCKS[kind](D, 2, 12, 0.3).eval()
    changed = x.clone()
    changed[:, 3] = 9
    torch.testing.assert_close(block(x, CAUSAL)[:, :3], block(changed, CAUSAL)[:, :3])
    assert not torch.allclose(block(x, CAUSAL)[:, 3:], block(changed, CAUSAL)[:, 3:])


def test_closed_gates_leave_the_input_as_it_was(x: torch.Tensor) -> None:
    block = LiGR(D, 2, 12, 0.0)
    for gate in (block.attention_gate, block.mixing_gate):
        torch.nn.init.zeros_(gate.weight)
        torch.nn.init.constant_(gate.bias, -100)
    torch.testing.assert_close(block(x, CAUSAL), x)


def test_the_original_adds_to_what_is_normalised(x: torch.Tensor) -> None:
    """With sub-layers that say nothing the input comes out normalised, whatever its scale."""
    block = Original(D, 2, 12, 0.0)
    for layer in (block.attention.merge, block.mix[-1]):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    torch.testing.assert_close(block(100 * x, CAUSAL), torch.nn.functional.layer_norm(x, (D,)), rtol=1e-3, atol=1e-3)


def test_a_closed_block_gives_each_position_normalised(x: torch.Tensor) -> None:
    block = PostNorm(D, 2, 12, 0.0).eval()
    given = block(100 * x, CAUSAL)
    torch.testing.assert_close(given, torch.nn.functional.layer_norm(given, (D,)), rtol=1e-3, atol=1e-3)


def test_attention_without_a_dropped_weight_is_the_same_in_training(x: torch.Tensor) -> None:
    """Both ways to compute it agree where the coin never says drop."""
    attention = Attention(D, 2, 1e-9)
    torch.testing.assert_close(attention(x, x, CAUSAL), attention.eval()(x, x, CAUSAL))


def test_dropped_attention_weights_differ_from_draw_to_draw(x: torch.Tensor) -> None:
    attention = Attention(D, 2, 0.5)
    assert not torch.allclose(attention(x, x, CAUSAL), attention(x, x, CAUSAL))
