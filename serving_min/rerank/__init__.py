"""From scores to the final lists, the same code offline and online. Numpy only.

``lists`` takes the best k and fills up; ``reranker`` applies a surface's ``serving_min.rules`` to what was found.
"""

from serving_min.rerank.lists import NOTHING, TopK, fill, speaks, top_k

__all__ = ["NOTHING", "TopK", "fill", "speaks", "top_k"]
