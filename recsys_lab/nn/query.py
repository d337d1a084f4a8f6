"""What a vector model hands over to be exported: the graph from a history to a query vector."""

from __future__ import annotations

from torch import nn

from serving_min.manifest import EncoderInput


class QueryModule(nn.Module):
    """``inputs`` names the arrays of ``Queries.padded`` that ``forward`` takes, in order; it gives
    [B, D] float32. Padding (-1), truncation to the model's ``max_history`` and masks are handled inside.
    """

    inputs: tuple[EncoderInput, ...]


class ItemModule(nn.Module):
    """The graph from what a catalogue says of a new item to its vector: ``forward`` takes ``columns`` [B, W],
    ``values`` [B, W] and ``labels`` [B, 3], as ``serving_min.new_items.ItemReader`` reads them, and gives [B, D].
    """
