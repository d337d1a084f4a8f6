"""The learning rate over a training run."""

from __future__ import annotations

import math

from recsys_lab.nn.recipe import Recipe


def learning_rate(recipe: Recipe, epochs: float) -> float:
    """What holds after ``epochs`` passes, fractions included.

    It follows the passes done, not those left: a refit that stops at the best epoch, and a run that
    goes on after it was killed, see the very same rates.
    """
    if epochs < recipe.warmup_epochs:
        return recipe.learning_rate * epochs / recipe.warmup_epochs
    if not recipe.decay_epochs:
        return recipe.learning_rate
    gone = min(1.0, (epochs - recipe.warmup_epochs) / (recipe.decay_epochs - recipe.warmup_epochs))
    left = 1 - gone if recipe.decay == "linear" else (1 + math.cos(math.pi * gone)) / 2
    return recipe.learning_rate * left
