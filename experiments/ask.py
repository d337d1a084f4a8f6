"""Start the server on the newest bundle, ask it the way a shop would, print what it says, stop it.

python experiments/ask.py [BUNDLE] [--port 8765]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

PATIENCE = 60  # seconds until the server has to be ready


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path, nargs="?", help="the newest one under export/bundles by default")
    parser.add_argument("--port", type=int, default=8765)
    given = parser.parse_args()
    bundle = given.bundle or newest_bundle(Path("export/bundles"))
    address = f"http://127.0.0.1:{given.port}"
    server = subprocess.Popen([sys.executable, "-m", "serving_min", str(bundle), "--port", str(given.port)])
    try:
        wait_until_ready(server, address)
        history = history_of(bundle)
        page = history[-1]["item"]
        show("home page", f"{address}/v1/home", {"history": history, "k": 5})
        show(f"product page of {page}", f"{address}/v1/also-viewed", {"item": page, "k": 3})
    finally:
        server.terminate()
        server.wait(timeout=PATIENCE)
    print(f"\nServe it yourself:  recsys-lab serve --dev {bundle}   and open http://127.0.0.1:8000")


def newest_bundle(root: Path) -> Path:
    found = [path.parent for path in root.glob("*/*/manifest.json") if not path.parent.name.startswith(".")]
    if not found:
        sys.exit(f"no bundle in {root}; `recsys-lab export best` writes one")
    return max(found, key=lambda folder: (folder / "manifest.json").stat().st_mtime)


def history_of(bundle: Path) -> list[dict[str, str]]:
    """Of the first golden request that has one: real items of this bundle."""
    requests = (json.loads(line)["request"] for line in (bundle / "golden.jsonl").read_text().splitlines())
    history: list[dict[str, str]] = next(asked["history"] for asked in requests if len(asked.get("history", [])) > 2)
    return history[-5:]


def wait_until_ready(server: subprocess.Popen[bytes], address: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if server.poll() is not None:
            sys.exit(f"the server ended with code {server.returncode}")
        try:
            with urlopen(f"{address}/readyz"):
                return
        except (URLError, ConnectionError):
            time.sleep(0.1)
    sys.exit(f"no answer from {address} within {PATIENCE} s")


def show(place: str, url: str, body: dict[str, object]) -> None:
    """Ask one surface, and print what it says."""
    print(f"\n{place}: POST {url}\n{json.dumps(body)}\n")
    with urlopen(Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})) as response:
        for item in json.load(response)["items"]:
            about = f"{item['id']:<12} {item.get('title', '')}  [{item.get('category', '')}]"
            print(f"  {item['score']:>9.4g}  {about}  {item['reason']}")


if __name__ == "__main__":
    main()
