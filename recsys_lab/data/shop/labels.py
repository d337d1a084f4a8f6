"""What is written on the items: text that gives their shelf, brand, line, step and styles away."""

from __future__ import annotations

import numpy as np
import pandas as pd

from recsys_lab.data import columns
from recsys_lab.data.shop.product_lines import ProductLines
from recsys_lab.data.shop.vocabulary import OPENINGS, REASONS, SHELVES, STEPS, STYLES, SYLLABLES


def write_labels(lines: ProductLines, rng: np.random.Generator) -> pd.DataFrame:
    """Title, text, category, subcategory and brand, one row per item."""
    brands, series = _names(lines.n_brands, rng), _names(lines.line[-1] + 1, rng)
    openings = rng.integers(len(OPENINGS), size=len(lines.shelf))
    reasons = rng.integers(len(REASONS), size=len(lines.shelf))
    rows = []
    for row, shelf in enumerate(SHELVES[code] for code in lines.shelf):
        brand, line, step = brands[lines.brand[row]], series[lines.line[row]], STEPS[lines.step[row]]
        common, own, other = (STYLES[style] for style in lines.styles[row])
        title = f"{brand} {line} {own} {shelf.noun} {step}"
        text = (
            f"{OPENINGS[openings[row]]} {common}, {own} and {other} {shelf.noun} from {brand}, "
            f"the {step} of the {line} line: {REASONS[reasons[row]]}."
        )
        rows.append((title, text, shelf.category, shelf.name, brand))
    names = [columns.TITLE, columns.TEXT, columns.CATEGORY, "subcategory", columns.BRAND]
    return pd.DataFrame(rows, columns=names, dtype="str")


def _names(count: int, rng: np.random.Generator) -> list[str]:
    """``count`` different made-up names, of as many syllables as that takes."""
    base, length = len(SYLLABLES), 2
    while base**length < 4 * count:
        length += 1
    codes = rng.choice(base**length, size=count, replace=False)
    return ["".join(SYLLABLES[code // base**place % base] for place in range(length)).capitalize() for code in codes]
