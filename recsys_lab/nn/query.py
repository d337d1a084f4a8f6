"""What a vector model hands over to be exported: the graph from a history to a query vector."""

from __future__ import annotations

from torch import nn

from serving_min.manifest import EncoderInput


class QueryModule(nn.Module):
    """``inputs`` names the arrays of ``Queries.padded`` that ``forward`` takes, in order; it gives
    [B, D] float32. Padding (-1), truncation to the model's ``max_history`` and masks are handled inside.
    """

    inputs: tuple[EncoderInput, ...]
