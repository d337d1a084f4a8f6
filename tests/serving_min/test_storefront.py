"""The storefront of development mode, in a real browser on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest

from serving_min.keys import hashed
from tests.serving_min.handmade import items_table, write_bundle
from tests.serving_min.process import running

SURFACES: dict[str, Any] = {
    "home": {"retrievers": [{"source": "model"}, {"source": "trending", "weight": 0.5}]},
    "bought-together": {"retrievers": [{"source": "model", "of": "item"}], "needs": "item", "seen": "keep"},
    "also-viewed": {"retrievers": [{"source": "similar", "of": "item"}], "needs": "item", "seen": "keep"},
    "cart": {"retrievers": [{"source": "model", "of": "cart"}], "seen": "keep"},
    "search": {"retrievers": [{"source": "given"}], "needs": "items", "seen": "keep", "by": "scores"},
    "onboarding": {"retrievers": [{"source": "model"}], "needs": "liked"},
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("storefront") / "bundle"
    return write_bundle(folder, "vector", companions={"trending": "static"}, surfaces=SURFACES)


@pytest.fixture(scope="module")
def address(bundle: Path) -> Iterator[str]:
    with running(bundle, "--dev") as server:
        yield server.address


@contextmanager
def visiting(chromium: Any, address: str) -> Iterator[Any]:
    """The page, in which nothing goes wrong but what the network does."""
    page = chromium.new_page(viewport={"width": 1000, "height": 800})
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.goto(address)
    yield page
    page.close()
    assert [error for error in wrong if not error.startswith("Failed to load resource")] == []


@pytest.fixture
def page(chromium: Any, address: str) -> Iterator[Any]:
    with visiting(chromium, address) as page:
        page.wait_for_selector("#home button")
        yield page
        assert page.get_by_role("alert").is_hidden()


def ids(page: Any, lists: str) -> list[str]:
    return [button.get_attribute("data-item") for button in page.locator(f"{lists} button").all()]


def test_what_a_visitor_does_changes_the_home_page(page: Any) -> None:
    assert ids(page, "#home") == ["E", "C", "A", "B", "D"]  # nobody is known: what is trending
    page.locator('#home [data-item="A"]').click()
    page.wait_for_selector("#similar button")
    assert ids(page, "#similar")[:2] == ["B", "C"]
    assert ids(page, "#also-viewed")[:2] == ["B", "C"]
    assert ids(page, "#home")[0] == "B"  # of what points where A points
    assert page.locator("#did li").all_inner_texts() == ["view: Apple"]
    page.get_by_role("button", name="Not for me").click()
    page.locator("#did li").nth(1).wait_for()
    page.locator('#home [data-item="A"]').wait_for(state="detached")
    assert page.locator("#product").is_hidden()


def test_a_product_page_has_three_lists(page: Any) -> None:
    page.locator('#home [data-item="A"]').click()
    page.wait_for_selector("#similar button")
    assert page.locator("#product h3").all_inner_texts() == ["Bought together", "Also viewed", "Similar"]
    assert [ids(page, around)[0] for around in ("#bought-together", "#also-viewed", "#similar")] == ["B", "B", "B"]


def test_of_two_quick_clicks_the_later_one_counts(page: Any) -> None:
    page.evaluate("""for (const item of ["A", "D"]) document.querySelector(`#home [data-item="${item}"]`).click()""")
    page.wait_for_selector("#similar button")
    assert page.locator("#product h2").inner_text() == "Duck"
    assert page.locator("#product h3").count() == 3
    assert ids(page, "#similar")[0] == "E"
    assert {*page.locator("#did li").all_inner_texts()} == {"view: Apple", "view: Duck"}


def test_a_double_click_opens_once(page: Any) -> None:
    page.locator('#home [data-item="A"]').dblclick()
    page.wait_for_selector("#similar button")
    page.locator('#home [data-item="D"]').click()
    page.locator('#similar [data-item="E"]').wait_for()
    assert page.locator("#product h3").count() == 3
    assert page.locator("#did li").all_inner_texts() == ["view: Duck", "view: Apple"]


def test_the_cart_has_a_list_of_its_own(page: Any) -> None:
    page.locator('#home [data-item="D"]').click()
    page.get_by_role("button", name="Put into cart").click()
    page.wait_for_selector("#with-cart button")
    assert "in your cart" in page.get_by_role("status").inner_text()
    assert ids(page, "#with-cart")[0] == "E"


def test_the_cart_has_an_item_once_and_gives_it_back(page: Any) -> None:
    page.locator('#home [data-item="D"]').click()
    for _ in range(2):
        page.get_by_role("button", name="Put into cart").click()
        page.wait_for_selector("#in-cart li")
    page.locator('#with-cart [data-item="A"]').click()
    page.get_by_role("button", name="Put into cart").click()
    page.get_by_role("button", name="Take Apple out").wait_for()
    assert page.locator("#in-cart li").all_inner_texts() == ["Duck\nTake out", "Apple\nTake out"]
    page.get_by_role("button", name="Not for me").click()
    page.get_by_role("button", name="Take Apple out").wait_for(state="detached")
    page.get_by_role("button", name="Take Duck out").press("Enter")
    page.locator("#cart").wait_for(state="hidden")
    assert page.evaluate("document.activeElement.id") == "home-title"
    done = ["dismiss: Apple", "cart: Apple", "view: Apple", "cart: Duck", "view: Duck"]
    assert page.locator("#did li").all_inner_texts() == done


def test_nothing_of_a_visitor_is_left_for_the_next(page: Any) -> None:
    page.get_by_label("blue").check()
    page.get_by_label("Search").fill("du")
    page.keyboard.press("Enter")
    page.locator('#found [data-item="D"]').click()
    page.get_by_role("button", name="Put into cart").click()
    page.wait_for_selector("#with-cart button")
    late: list[Any] = []
    page.route("**/v1/events", lambda route: late.append(route), times=1)  # held until somebody else is there
    with page.expect_request("**/v1/events"):
        page.get_by_role("button", name="Buy").click()
    page.get_by_label("Who is shopping").select_option(index=1)
    with page.expect_response("**/v1/events"):
        late[0].continue_()
    assert page.locator("#product, #found, #cart").filter(visible=True).count() == 0
    assert page.get_by_label("Search").input_value() == ""
    page.locator("#home button").first.click()
    page.wait_for_selector("#similar button")
    assert page.locator("#did li").count() == 1
    page.get_by_label("Who is shopping").select_option(index=0)
    page.wait_for_selector("#home button")
    assert not page.get_by_label("blue").is_checked()


def test_a_new_visitor_says_what_they_like(page: Any) -> None:
    page.get_by_label("blue").check()
    page.locator("#facts dd", has_text="onboarding").wait_for()
    page.locator("#home .reason", has_text="model").first.wait_for()
    assert "E" not in ids(page, "#home")[:1]


def test_somebody_can_be_invented(page: Any) -> None:
    page.get_by_text("Invent somebody").click()
    page.get_by_label("Their id").fill("ann")
    page.get_by_label("What they looked at").fill("A, nothing,,")
    with page.expect_request("**/v1/home") as asked:
        page.keyboard.press("Enter")
    assert asked.value.post_data_json == {"user_id": "ann", "history": ["A", "nothing"], "k": 12}
    page.wait_for_selector("#home button")
    assert ids(page, "#home")[0] == "B"
    assert page.locator("#facts").inner_text().endswith("unknown\nnothing")
    assert page.locator("#who option:checked").inner_text() == "ann: 2 events"
    assert page.locator("#invent").is_hidden()


def test_the_search_finds_titles(page: Any) -> None:
    page.get_by_label("Search").fill("du")
    page.keyboard.press("Enter")
    page.wait_for_selector("#found button")
    assert ids(page, "#found") == ["D"]


@pytest.mark.parametrize("width", [360, 1280])
def test_what_was_found_comes_into_view(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 500})
    page.locator('#home [data-item="A"]').click()
    page.wait_for_selector("#similar button")
    page.get_by_label("Search").fill("du")
    page.keyboard.press("Enter")
    page.wait_for_selector("#found-title:focus")
    assert page.evaluate("document.querySelector('#found button').getBoundingClientRect().bottom <= innerHeight")


def test_a_narrow_screen_and_a_keyboard_are_enough(page: Any) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.get_by_text("Invent somebody").press("Enter")
    page.get_by_label("What they looked at").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.locator("#home button").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#similar button")
    assert page.evaluate("document.activeElement.id") == "product-title"
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    unlabelled = "[...document.querySelectorAll('input,select,button')].filter(e => !e.labels?.length && !e.innerText)"
    assert page.evaluate(f"{unlabelled}.length") == 0


def test_the_keyboard_goes_back_to_where_it_was(page: Any) -> None:
    page.get_by_label("Search").fill("a")
    page.keyboard.press("Enter")
    page.locator('#found [data-item="B"]').press("Enter")
    page.locator('#similar [data-item="C"]').press("Enter")
    page.locator("#did li", has_text="view: C").wait_for()
    page.get_by_role("button", name="Close").press("Enter")
    assert page.evaluate("document.activeElement.closest('#found [data-item]').dataset.item") == "B"
    page.locator('#home [data-item="D"]').press("Enter")
    page.wait_for_selector("#similar button")
    page.get_by_role("button", name="Not for me").press("Enter")
    page.locator("#did li", has_text="dismiss: Duck").wait_for()
    page.wait_for_selector("#home-title:focus")  # the card that had opened it is gone


def test_the_keyboard_stays_on_an_item_when_its_list_changes(page: Any) -> None:
    page.locator('#home [data-item="A"]').focus()
    page.evaluate("document.querySelector('#likes [value=blue]').click()")
    page.locator("#home .reason", has_text="model").first.wait_for()
    assert page.evaluate("document.activeElement.dataset.item") == "A"


def test_hostile_titles_are_titles(chromium: Any, tmp_path: Path) -> None:
    titles = [
        "<script>document.title = 1</script>",
        "\"><img src=x onerror='document.title = 2'>",
        "'\"`&lt;",
        "a" * 300,
    ]
    named = {"title": [*titles, None, None], "category": ["<b>red", '"', "'", "z" * 300, "&amp;", "</style>"]}
    table = items_table()
    for name, values in named.items():
        table = table.set_column(table.column_names.index(name), name, pa.array(values))
    bundle = write_bundle(
        tmp_path / "bundle", "vector", table=table, companions={"trending": "static"}, surfaces=SURFACES
    )
    with running(bundle, "--dev") as server, visiting(chromium, server.address) as page:
        page.set_viewport_size({"width": 360, "height": 740})
        for place, (item, title) in enumerate(zip("ABCD", titles, strict=True)):
            page.get_by_label("Search").fill(title[:30])
            page.keyboard.press("Enter")
            page.locator(f'#found [data-item="{item}"]').click()
            page.wait_for_selector("#similar button")
            page.get_by_role("button", name="Put into cart").click()
            page.locator("#in-cart li").nth(place).wait_for()
            assert page.locator("#product h2").inner_text() == title
            assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert page.title() == "A shop to look at"
        assert page.locator("#product img, #product script, #product b").count() == 0


def test_a_dead_server_is_said_where_everybody_looks(chromium: Any, bundle: Path) -> None:
    with running(bundle, "--dev") as server, visiting(chromium, server.address) as page:
        page.locator('#home [data-item="A"]').click()
        page.wait_for_selector("#similar button")
        server.process.kill()
        page.get_by_role("button", name="Buy").click()
        page.get_by_role("alert").wait_for()
        assert page.get_by_role("alert").inner_text() == "The server does not answer."
        assert page.evaluate("wrong.getBoundingClientRect().top >= 0")
        page.get_by_label("Who is shopping").select_option(index=1)
        page.get_by_role("alert").wait_for()
        assert page.locator("#home button").count() == 0


def test_what_failed_did_not_happen_and_can_be_tried_again(page: Any) -> None:
    page.locator('#home [data-item="D"]').click()
    page.wait_for_selector("#similar button")
    page.route("**/v1/**", lambda route: route.abort())
    page.get_by_role("button", name="Put into cart").click()
    page.get_by_role("alert").wait_for()
    page.unroute("**/v1/**")
    page.locator('#home [data-item="A"]').click()
    page.get_by_role("button", name="Put into cart").click()
    page.wait_for_selector("#with-cart button")
    assert page.locator("#in-cart li").all_inner_texts() == ["Apple\nTake out"]
    page.route("**/v1/**", lambda route: route.abort())
    page.get_by_label("Who is shopping").select_option(index=1)
    page.get_by_role("alert").wait_for()
    page.unroute("**/v1/**")
    page.get_by_role("button", name="Try again").press("Enter")
    page.wait_for_selector("#home button")


def test_where_keys_are_wanted_the_page_asks_for_one(chromium: Any, bundle: Path, tmp_path: Path) -> None:
    keys, settings = tmp_path / "keys.toml", tmp_path / "settings.toml"
    keys.write_text(f'[[keys]]\nname = "shop"\nsha256 = "{hashed("open-sesame")}"\nroles = ["read", "events"]\n')
    settings.write_text(f'dev = true\n[doors]\nkeys = "{keys}"\n')
    with running(bundle, "--settings", settings) as server, visiting(chromium, server.address) as page:
        page.get_by_role("alert").wait_for()
        for key in ("a-guess", "open-sesame"):
            with page.expect_response("**/dev/shop"):
                page.get_by_label("Key").fill(key)
                page.keyboard.press("Enter")
        page.locator('#home [data-item="A"]').click()
        page.wait_for_selector("#similar button")
        page.reload()
        page.wait_for_selector("#home button")
        assert page.get_by_label("Key").is_hidden()


def test_the_page_needs_nothing_from_elsewhere(address: str) -> None:
    assert "://" not in httpx.get(address).text


def test_without_development_mode_there_is_none(bundle: Path) -> None:
    with running(bundle) as server:
        assert httpx.get(server.address).status_code == 404
        assert httpx.get(f"{server.address}/dev/items?q=a").status_code == 404
