"""Whether the items have what rules speak of."""

from __future__ import annotations

from serving_min.errors import BundleError, RequestError
from serving_min.rerank.facts import Facts
from serving_min.rules import Calibrated, Rules


def must_fit(rules: Rules, facts: Facts) -> None:
    """Raises BundleError that names the rule and the column that is missing."""
    items, new = facts.items, rules.exploration
    for setting, used, column in (
        ("caps.category", rules.caps.category is not None, "category"),
        ("caps.brand", rules.caps.brand is not None, "brand"),
        ("boosts.category", any(boost.category is not None for boost in rules.boosts), "category"),
        ("boosts.brand", any(boost.brand is not None for boost in rules.boosts), "brand"),
        ("weights.margin", rules.weights.margin > 0, "margin"),
        ("weights.stock", rules.weights.stock > 0, "stock"),
        ("variety", isinstance(rules.variety, Calibrated), "category"),
        ("exploration.days", new is not None and new.days is not None, "available_from"),
    ):
        if used and getattr(items, column) is None:
            raise BundleError(f"rules.{setting}: the items have no {column}; leave the rule out, or add the column")
    if rules.variety is not None and facts.vectors is None and items.category is None and items.brand is None:
        raise BundleError("rules.variety: the items have no vector, category or brand to be alike by; leave it out")
    try:
        items.check(rules.filters)
    except RequestError as error:
        raise BundleError(f"rules: {error}") from error
