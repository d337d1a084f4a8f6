"""Why people look at what they look at, and how often: the numbers behind the sessions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Reason(IntEnum):
    """Why an item was viewed."""

    RESTOCK = 0  # a consumable is used up
    COMPLEMENT = 1  # it goes with what was put in the cart
    NEXT_STEP = 2  # it follows the last item in its line
    RETURN = 3  # the last session's last item once more
    SUBSTITUTE = 4  # another one from the same shelf
    FRESH = 5  # a new need: what no other reason takes


@dataclass(frozen=True)
class Habits:
    """Probabilities, where nothing else is said. Those "at start" fade as the last visit lies back."""

    complement: float = 0.45
    complement_later: float = 0.4  # at the start of the session after the purchase; does not fade
    next_step: float = 0.3
    next_step_at_start: float = 0.35
    return_at_start: float = 0.12
    substitute: float = 0.5
    substitute_at_start: float = 0.3
    memory_days: float = 20.0
    buying_session: float = 0.52  # the cart is paid at the session's end
    cart_odds: float = -2.9  # log-odds of a cart for an item of average liking …
    cart_liking: float = 0.7  # … what liking adds …
    cart_bonus: tuple[float, ...] = (4.5, 0.8, 0.2, 0.8, 0.0, 0.0)  # … and the reason of the view
    restocks: float = 0.75  # a consumable that was bought is bought again
    cycle_spread: float = 0.1  # standard deviation of the log of its cycle
    events_per_session: float = 5.75  # measured on what comes out; sets the pace that ``n_events`` takes
