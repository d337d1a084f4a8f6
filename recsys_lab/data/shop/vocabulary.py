"""What the shop sells: 12 categories of four shelves, and the words that its texts are made of."""

from __future__ import annotations

from typing import Final, NamedTuple


class Shelf(NamedTuple):
    """A sub-category. Its items are substitutes; who buys here soon looks on the shelf ``goes_with``."""

    category: str
    name: str
    noun: str
    price: float  # typical
    cycle: int = 0  # days until it is used up and bought again, 0 = it lasts
    goes_with: str = ""


SHELVES: Final = (
    Shelf("kitchen", "coffee makers", "espresso machine", 120, goes_with="coffee beans"),
    Shelf("kitchen", "coffee beans", "roast coffee", 13, 28, "mugs"),
    Shelf("kitchen", "cookware", "saucepan", 55),
    Shelf("kitchen", "mugs", "mug", 12),
    Shelf("home", "bedding", "duvet cover", 60, goes_with="pillows"),
    Shelf("home", "pillows", "pillow", 28),
    Shelf("home", "lamps", "table lamp", 45, goes_with="light bulbs"),
    Shelf("home", "light bulbs", "bulb", 9),
    Shelf("garden", "planters", "planter", 24, goes_with="potting soil"),
    Shelf("garden", "potting soil", "potting soil", 11, 35, "seeds"),
    Shelf("garden", "seeds", "seed mix", 5),
    Shelf("garden", "garden tools", "pruning shears", 27),
    Shelf("sports", "running shoes", "running shoes", 95, goes_with="running socks"),
    Shelf("sports", "running socks", "running socks", 13),
    Shelf("sports", "yoga", "yoga mat", 35, goes_with="water bottles"),
    Shelf("sports", "water bottles", "water bottle", 20),
    Shelf("outdoor", "tents", "tent", 160, goes_with="sleeping bags"),
    Shelf("outdoor", "sleeping bags", "sleeping bag", 80),
    Shelf("outdoor", "backpacks", "backpack", 85, goes_with="water bottles"),
    Shelf("outdoor", "headlamps", "headlamp", 32, goes_with="batteries"),
    Shelf("electronics", "headphones", "headphones", 110, goes_with="chargers"),
    Shelf("electronics", "phone cases", "phone case", 22),
    Shelf("electronics", "chargers", "charger", 28),
    Shelf("electronics", "batteries", "battery pack", 9, 42),
    Shelf("fashion", "dresses", "dress", 65, goes_with="handbags"),
    Shelf("fashion", "handbags", "handbag", 80),
    Shelf("fashion", "jeans", "jeans", 70, goes_with="belts"),
    Shelf("fashion", "belts", "belt", 30),
    Shelf("beauty", "cleansers", "face cleanser", 12, 42, "moisturisers"),
    Shelf("beauty", "moisturisers", "face cream", 19, 42),
    Shelf("beauty", "lipsticks", "lipstick", 16, goes_with="make-up brushes"),
    Shelf("beauty", "make-up brushes", "make-up brush", 14),
    Shelf("pets", "dog food", "dog food", 32, 21, "dog treats"),
    Shelf("pets", "dog treats", "dog biscuits", 7, 14),
    Shelf("pets", "cat litter", "cat litter", 12, 21, "cat toys"),
    Shelf("pets", "cat toys", "cat toy", 8),
    Shelf("baby", "nappies", "nappies", 24, 14, "wipes"),
    Shelf("baby", "wipes", "baby wipes", 6, 14),
    Shelf("baby", "prams", "pram", 280, goes_with="baby toys"),
    Shelf("baby", "baby toys", "rattle", 15),
    Shelf("toys", "board games", "board game", 34),
    Shelf("toys", "puzzles", "puzzle", 17),
    Shelf("toys", "building sets", "building set", 48, goes_with="craft kits"),
    Shelf("toys", "craft kits", "craft kit", 21),
    Shelf("books", "novels", "novel", 14),
    Shelf("books", "cookbooks", "cookbook", 27, goes_with="cookware"),
    Shelf("books", "travel guides", "travel guide", 19, goes_with="backpacks"),
    Shelf("books", "notebooks", "notebook", 10),
)
CATEGORIES: Final = tuple(dict.fromkeys(shelf.category for shelf in SHELVES))
CATEGORY_OF: Final = tuple(CATEGORIES.index(shelf.category) for shelf in SHELVES)
GOES_WITH: Final = tuple(
    next((code for code, other in enumerate(SHELVES) if other.name == shelf.goes_with), -1) for shelf in SHELVES
)

# Day of the year at which most people look for the category.
PEAK_DAY: Final = {
    "kitchen": 340,
    "home": 285,
    "garden": 125,
    "sports": 20,
    "outdoor": 180,
    "electronics": 335,
    "fashion": 95,
    "beauty": 45,
    "pets": 60,
    "baby": 250,
    "toys": 345,
    "books": 310,
}

# A line is a series of up to four items that people climb step by step.
STEPS: Final = ("starter", "classic", "plus", "pro")

_STYLES = (
    "airy bold bright calm chunky classy colourful compact cosy crisp curved delicate earthy elegant "
    "festive floral geometric glossy handmade industrial lively lush matte minimal modern muted natural "
    "nordic organic pastel playful plain premium quiet retro rugged rustic sleek smooth soft sturdy "
    "tropical urban vegan velvety vintage vivid warm"
)
STYLES: Final = tuple(_STYLES.split())
OPENINGS: Final = ("A", "Our", "This", "Meet a", "The")
REASONS: Final = (
    "made to last for years",
    "a favourite of our customers",
    "easy to like and easy to give",
    "tested by our own team",
    "good value every day",
    "sent the same day",
)
_SYLLABLES = "al bar cor den el fen gar hol is jun kar lum mor nor ol per qui rav sol tor ul ven wil zan"
SYLLABLES: Final = tuple(_SYLLABLES.split())
