"""serving_min/README.md names all that can be set and asked, and what it shows is what the server takes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct
from starlette.routing import Route

from serving_min.app import create_app
from serving_min.assortment.changes import Changes
from serving_min.engine import Engine
from serving_min.events import Batch
from serving_min.fleet.settings import FleetSettings, Other
from serving_min.keys import Key
from serving_min.messages import Answer, Request
from serving_min.routes.admin import create_admin_app
from serving_min.settings import Settings
from serving_min.shop import Shop
from serving_min.surfaces import Surface
from tests.serving_min.process import ROOT

PAGE = (ROOT / "serving_min" / "README.md").read_text()
WITH_BODY = re.compile(r"^curl .*?localhost:\d+(/\S+) -d '(.*)'$", re.MULTILINE)
BODIES: dict[str, Any] = {"/v1/events": Batch, "/admin/fleet": FleetSettings, "/admin/items": Changes}


def settings(section: type[Struct], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting by its dotted name, and its default."""
    for field in msgspec.structs.fields(section):
        default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
        name = f"{prefix}{field.encode_name}"
        if isinstance(default, Struct):
            yield from settings(type(default), f"{name}.")
        else:
            yield name, default


def row(name: str) -> list[str]:
    found = re.search(rf"^\| `{re.escape(name)}` \|(.*)\|$", PAGE, re.MULTILINE)
    assert found, name
    return [cell.strip() for cell in found[1].split("|")]


@pytest.mark.parametrize("module", ["serving_min", "serving_min.batch"])
def test_every_flag(module: str) -> None:
    told = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=True)
    flags = {*re.findall(r"(?<![\w`])--?[a-z][a-z-]*", told.stdout)} - {"-h", "-m"}  # of `python -m`
    assert flags >= {"--help"}
    assert flags <= {*re.findall(r"`(--?[a-z][a-z-]*)`", PAGE)}


@pytest.mark.parametrize(("name", "default"), [*settings(Settings)])
def test_every_setting_and_its_default(name: str, default: object) -> None:
    cell = row(name)[0]
    shown = None if cell == "none" else msgspec.toml.decode(f"shown = {cell}")["shown"]
    assert shown == (list(default) if isinstance(default, tuple) else default)


def test_no_setting_that_is_gone() -> None:
    table = PAGE.partition("| setting |")[2].partition("\n\n")[0]
    assert {*re.findall(r"^\| `([\w.]+)`", table, re.MULTILINE)} == {name for name, _ in settings(Settings)}


@pytest.mark.parametrize("entry", [Other, Key])
def test_every_field_of_entries(entry: type[Struct]) -> None:
    assert [name for name in entry.__struct_fields__ if f"`{name}`" not in PAGE] == []


def test_every_route(engine: Callable[[str], Engine]) -> None:
    shop = Shop(engine("static"), Settings(dev=True))
    routes = [*create_app(shop).routes, *create_admin_app(shop).routes]
    for route in routes:
        assert isinstance(route, Route)
        assert f"{re.sub(':[a-z]+}', '}', route.path)}`" in PAGE, route.path


def test_the_bodies_of_the_examples() -> None:
    shown = WITH_BODY.findall(PAGE)
    assert len(shown) > 12
    for path, body in shown:
        msgspec.json.decode(body, type=BODIES.get(path, Request))


def test_the_ports_of_the_examples() -> None:
    """Where the examples ask, a server of these pages listens."""
    for port, route in re.findall(r"localhost:(\d+)/(\w+)", PAGE):
        assert f"--admin-port {port}" in PAGE if route == "admin" else int(port) == Settings().port


def test_the_answer() -> None:
    shown = re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert shown is not None
    always = {field.name for field in msgspec.structs.fields(Answer) if field.required}
    assert {*msgspec.json.decode(shown[1])} == always
    assert msgspec.json.decode(shown[1], type=Answer).items[0].reason == "model"


def test_the_surface_with_rules() -> None:
    from omegaconf import OmegaConf

    shown = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert shown is not None
    surfaces = msgspec.convert(OmegaConf.to_container(OmegaConf.create(shown[1])), dict[str, Surface])
    assert surfaces["home"].rules.boosts[0].since == date(2026, 12, 1)


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", PAGE):
        assert Path(ROOT, "serving_min", target).is_file(), target
