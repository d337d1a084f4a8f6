"""Wide & deep: a linear memory and a deep network rank what the members name, trained together.

Cheng et al., "Wide & deep learning for recommender systems", DLRS 2016.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys_lab.models.neural_ranker import NeuralRanker

if TYPE_CHECKING:
    from recsys_lab.nn.ranking import RankingNetwork


class WideDeep(NeuralRanker):
    """The wide part weighs each step of each feature and each item by itself, the deep part sees them together; what is
    crossed in the paper, the features of ``serving_min.features`` cross already."""

    def _network(self) -> RankingNetwork:
        from recsys_lab.nn.ranking import WideDeepNetwork

        return WideDeepNetwork(**self._shape)
