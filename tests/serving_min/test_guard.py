from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from serving_min.errors import StartError
from serving_min.guard import KEY, Gate, Guard
from serving_min.keys import VARIABLE, Key, Keys, hashed
from serving_min.limits import Bucket
from serving_min.wire import RequestIds
from tests.serving_min.process import ROOT

KEYS = Keys(
    (
        Key("web", hashed("w"), ("events",)),
        Key("shop", hashed("s"), ("read", "events"), rate=2, burst=3),
        Key("boss", hashed("b"), ("admin",)),
    )
)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ask(clock: Clock) -> Callable[..., tuple[int, str]]:
    """Ask a guarded application; its status, and who it took the asker for."""

    async def who(request: Request) -> Response:
        return Response(request.scope.get(KEY, "anybody"))

    app = Starlette(
        routes=[Route("/{path:path}", who, methods=["GET", "POST", "DELETE"])],
        middleware=[Middleware(RequestIds), Middleware(Guard, gate=Gate(KEYS, clock=clock))],
    )
    client = TestClient(app)

    def ask(path: str, key: str = "", method: str = "GET") -> tuple[int, str]:
        response = client.request(method, path, headers={"Authorization": f"Bearer {key}"} if key else {})
        assert "X-Request-Id" in response.headers
        if response.status_code == 401:
            assert response.headers["WWW-Authenticate"] == "Bearer"
        if response.status_code == 429:
            assert int(response.headers["Retry-After"]) >= 1
        return response.status_code, response.text if response.is_success else response.json()["error"]

    return ask


def test_each_role_opens_its_own_doors(ask: Callable[..., tuple[int, str]]) -> None:
    doors = {
        "/healthz": "",
        "/docs": "",
        "/v1/recommend": "read",
        "/v1/similar/A": "read",
        "/metrics": "read",
        "/never/heard/of": "read",
        "/v1/events": "events",
        "/v1/users/ann": "admin",
        "/v1/users": "admin",
        "/admin/reload": "admin",
    }
    for path, role in doors.items():
        for key, opens in (("w", {"events"}), ("b", {"read", "events", "admin"})):
            status, _ = ask(path, key)
            assert status == (200 if role == "" or role in opens else 403), (path, key)
        assert ask(path)[0] == (401 if role else 200), path
        assert ask(path, "nonsense")[0] == (401 if role else 200), path
    assert ask("/v1/recommend", "s") == (200, "shop")
    assert ask("/v1/users/ann", "s") == (403, "the key 'shop' may not do this; it takes the role 'admin'")


def test_a_beacon_may_name_its_key_in_the_address_and_no_other_may(ask: Callable[..., tuple[int, str]]) -> None:
    assert ask("/v1/events?key=w", method="POST") == (200, "web")
    assert ask("/v1/events?key=b")[0] == 401, "a key that may do more must not stand in addresses"
    assert ask("/v1/recommend?key=w")[0] == 401
    assert ask("/v1/recommend?key=b")[0] == 401


def test_a_key_that_asks_too_often_waits(ask: Callable[..., tuple[int, str]], clock: Clock) -> None:
    assert [ask("/v1/recommend", "s")[0] for _ in range(4)] == [200, 200, 200, 429]
    assert ask("/v1/recommend", "b")[0] == 200, "others are not held up"
    clock.now += 0.5
    assert [ask("/v1/recommend", "s")[0] for _ in range(2)] == [200, 429]
    clock.now += 1_000
    assert [ask("/v1/recommend", "s")[0] for _ in range(4)] == [200, 200, 200, 429], (
        "a burst is no larger after a pause"
    )


def test_a_bucket_says_how_long_to_wait(clock: Clock) -> None:
    bucket = Bucket(0.5, 1, clock=clock)
    assert (bucket.take(), bucket.take()) == (0, 2)
    clock.now += 1.5
    assert bucket.take() == pytest.approx(0.5)
    clock.now += 0.5
    assert bucket.take() == 0


def test_a_secret_made_by_the_command_opens_the_file_that_it_prints(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "serving_min.keys", "team", "read", "events"]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    secret = made.stderr.split()[-1]
    assert secret not in made.stdout
    (tmp_path / "keys.toml").write_text(made.stdout)
    read = Keys.read(tmp_path / "keys.toml", {VARIABLE: "not looked at"})
    assert read is not None
    key = read.find(secret)
    assert key is not None
    assert (key.name, key.roles) == ("team", ("read", "events"))
    assert read.find(secret + "x") is None
    variable = Keys.read(None, {VARIABLE: made.stdout})
    assert variable is not None
    assert variable.keys == read.keys
    assert Keys.read(None, {}) is None
    refused = subprocess.run([*command, "boss"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stderr) == (
        2,
        "usage: python -m serving_min.keys NAME ROLE…; the roles are read events admin\n",
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("keys = [", "keys: "),
        ("keys = []", "length >= 1"),
        ('[[keys]]\nname = "a"\nsha256 = "secret"\nroles = ["read"]', r"matching regex .* `\$.keys\[0\].sha256`"),
        (f'[[keys]]\nname = "a"\nsha256 = "{hashed("x")}"\nroles = ["king"]', "Invalid enum value 'king'"),
        (f'[[keys]]\nname = "a"\nsha256 = "{hashed("x")}"\nroles = ["read"]\n' * 2, "two keys have one name"),
        (
            f'[[keys]]\nname = "a"\nsha256 = "{hashed("x")}"\nroles = ["read"]\nburst = 5',
            "'a' has a `burst`, which limits",
        ),
    ],
)
def test_keys_that_cannot_be(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(text)
    with pytest.raises(StartError, match=says):
        Keys.read(path)
    with pytest.raises(StartError, match=r"nowhere.toml: No such file"):
        Keys.read(tmp_path / "nowhere.toml")
