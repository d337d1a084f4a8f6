import json
from pathlib import Path
from typing import Any

import pytest

from recsys_lab.data.sources.amazon_reviews import AmazonReviews
from recsys_lab.errors import ConfigError, EmptyDataError, SchemaError, SourceError
from tests.data.sources.reading import PACK, Loaded, write

REVIEWS_2014 = [
    {"reviewerID": "A1", "asin": "B1", "overall": 5.0, "unixReviewTime": 1400457600, "reviewText": 'so, so\n"good"'},
    {"reviewerID": "A2", "asin": "B1", "overall": 1.0, "unixReviewTime": 1252800000, "helpful": [0, 0]},
]
REVIEWS_2023 = [
    {"rating": 4.0, "asin": "B1-red", "parent_asin": "B1", "user_id": "A1", "timestamp": 1588687728923, "images": []},
    {"rating": 2.0, "asin": "B2", "parent_asin": "B2", "user_id": "A2", "timestamp": 1588687728000},
]
EVENTS_2014 = [("A1", "B1", 1_400_457_600, "rating", 5.0), ("A2", "B1", 1_252_800_000, "rating", 1.0)]
ITEM_COLUMNS = "item_id, title, text, category, brand, price, image"


def lines(records: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.mark.parametrize("packing", PACK)
def test_reviews_of_2014_and_2018(tmp_path: Path, packing: str) -> None:
    path = write(tmp_path / "reviews_Beauty_5.json", lines(REVIEWS_2014), packing=packing)
    loaded = Loaded(AmazonReviews(path))
    assert loaded.events() == EVENTS_2014
    assert "raw_items" not in loaded.tables()


def test_reviews_of_2023_count_for_the_parent_item_in_milliseconds(tmp_path: Path) -> None:
    write(tmp_path / "All_Beauty.jsonl", lines(REVIEWS_2023))
    assert Loaded(AmazonReviews(tmp_path)).events() == [
        ("A1", "B1", 1_588_687_728, "rating", 4.0),
        ("A2", "B2", 1_588_687_728, "rating", 2.0),
    ]


@pytest.mark.parametrize("packing", PACK)
def test_metadata_of_2014_are_python_literals(tmp_path: Path, packing: str) -> None:
    records = [
        {
            "asin": "B1",
            "title": 'Men\'s "best" soap &amp; brush',
            "price": 12.99,
            "imUrl": "http://x/1.jpg",
            "brand": "Acme",
            "description": "Cleans <b>well</b>",
            "categories": [["Beauty", "Bath", "Soap"], ["Gifts"]],
        },
        {"asin": "B2"},
    ]
    meta = write(tmp_path / "meta.json", "".join(f"{record!r}\n" for record in records), packing=packing)
    reviews = write(tmp_path / "reviews.json", lines(REVIEWS_2014))
    source = AmazonReviews(reviews, meta_path=meta)
    assert source.files() == [reviews, meta]
    assert Loaded(source).items(ITEM_COLUMNS) == [
        (
            *("B1", 'Men\'s "best" soap & brush', "Cleans well Beauty Bath Soap", "Bath", "Acme", 12.99),
            "http://x/1.jpg",
        ),
        ("B2", None, None, None, None, None, None),
    ]
    top = Loaded(AmazonReviews(reviews, meta_path=meta, category_level=1))
    assert top.items("category") == [("Beauty",), (None,)]


def test_metadata_of_2018_are_dirty(tmp_path: Path) -> None:
    records = [
        {
            "asin": "B1",
            "title": "Lamp<span> red</span>",
            "category": ["Home &amp; Kitchen"],
            "description": ["Bright.", "", "Warm."],
            "feature": ["LED"],
            "brand": "by\n    \n    Lux",
            "price": "$1,299.00 - $1,500.00",
            "imageURLHighRes": ["http://x/2.jpg"],
        },
        {"asin": "B1", "title": "the same item again"},
        {
            "asin": "B2",
            "title": "var aPageStart = (new Date()).getTime();",
            "category": [],
            "description": [],
            "brand": "",
            "price": ".a-box-inner{background-color:#fff} 12",
        },
    ]
    meta = write(tmp_path / "meta.json", lines(records))
    loaded = Loaded(AmazonReviews(write(tmp_path / "r.json", lines(REVIEWS_2014)), meta_path=meta))
    assert loaded.items(ITEM_COLUMNS) == [
        ("B1", "Lamp red", "LED Bright. Warm. Home & Kitchen", "Home & Kitchen", "Lux", 1299.0, "http://x/2.jpg"),
        ("B2", None, None, None, None, None, None),
    ]


def test_metadata_of_2023(tmp_path: Path) -> None:
    records = [
        {
            "main_category": "All Beauty",
            "parent_asin": "B1",
            "title": "Mask",
            "features": ["Soft"],
            "description": ["For the night"],
            "price": "from 14.99",
            "store": "Acme",
            "categories": [],
            "images": [{"thumb": "t", "large": "http://x/3.jpg"}],
        },
        {"main_category": "All Beauty", "parent_asin": "B2", "price": None, "categories": ["Beauty", "Skin", "Masks"]},
    ]
    meta = write(tmp_path / "meta.jsonl", lines(records))
    loaded = Loaded(AmazonReviews(write(tmp_path / "r.jsonl", lines(REVIEWS_2023)), meta_path=meta))
    assert loaded.items(ITEM_COLUMNS) == [
        ("B1", "Mask", "Soft For the night", "All Beauty", "Acme", 14.99, "http://x/3.jpg"),
        ("B2", None, "Beauty Skin Masks", "Skin", None, None, None),
    ]


def test_errors_name_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.category_level: 0"):
        AmazonReviews(tmp_path, category_level=0)
    with pytest.raises(SourceError, match=r"ends with \.json or"):
        AmazonReviews(tmp_path).files()
    path = write(tmp_path / "reviews.json", lines([{"reviewer": "A1", "asin": "B1"}]))
    with pytest.raises(SourceError, match=r"data\.meta_path: .*gone\.json does not exist"):
        AmazonReviews(path, meta_path=tmp_path / "gone.json").files()
    with pytest.raises(SchemaError, match="'reviewerID' or 'user_id' is missing; it has reviewer, asin"):
        Loaded(AmazonReviews(path))
    write(path, "")
    with pytest.raises(EmptyDataError, match="is empty"):
        Loaded(AmazonReviews(path))
    write(path, lines(REVIEWS_2014).replace("1400457600", '"last week"'))
    with pytest.raises(SchemaError, match="the first is 'last week'"):
        Loaded(AmazonReviews(path))
    write(path, lines(REVIEWS_2014) + "{broken\n")
    with pytest.raises(SourceError, match="cannot be read"):
        Loaded(AmazonReviews(path))
    write(path, lines(REVIEWS_2014))
    for text, message in (
        (lines([{"title": "no id"}]), "'parent_asin' or 'asin' is missing"),
        ("{'asin': 'B1'}\n{'asin': \n", "line 2 is neither a JSON object nor a Python dictionary"),
        ("", "is empty"),
    ):
        meta = write(tmp_path / "meta.txt", text)
        with pytest.raises((SchemaError, SourceError, EmptyDataError), match=rf"meta\.txt: .*{message}"):
            Loaded(AmazonReviews(path, meta_path=meta))
