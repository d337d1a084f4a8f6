"""What a vector model hands over to be exported: the graph from a history to a query vector."""

from __future__ import annotations

from torch import Tensor, nn

from serving_min.manifest import EncoderInput


class QueryModule(nn.Module):
    """``inputs`` names the arrays of ``Queries.packed`` that ``forward`` takes, in order; it gives
    [B, D] float32. No history is empty, or longer than the model's ``max_history``.

    The answer to a history must not depend on the others, down to the last bit: rows of a matrix product and zeros
    at the end of a sum are without influence, in torch and in ONNX, where at least two rows are multiplied.
    """

    inputs: tuple[EncoderInput, ...]

    def over_vectors(self) -> QueryModule | None:
        """The same graph without a table of items: it takes their ``vectors`` [N, D] as an input. So a graph stays
        small however many items there are. None where it needs more than the served vectors.
        """
        return None


class ItemModule(nn.Module):
    """The graph from what a catalogue says of a new item to its vector: ``forward`` takes ``columns`` [B, W],
    ``values`` [B, W] and ``labels`` [B, 3], as ``serving_min.new_items.ItemReader`` reads them, and gives [B, D]; where
    the model was trained with vectors of sentence or image models, also ``vectors`` [B, V].
    """

    vectors: Tensor  # [I, V] those of the catalogue's items
