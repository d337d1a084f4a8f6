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
        request = history_of(bundle)
        print(f"\nPOST {address}/v1/recommend\n{json.dumps(request)}\n")
        answer = ask(f"{address}/v1/recommend", request)
        for item in answer["items"]:
            print(f"  {item['score']:>9.4g}  {item['id']:<12} {item.get('title', '')}  [{item.get('category', '')}]")
    finally:
        server.terminate()
        server.wait(timeout=PATIENCE)
    print(f"\nServe it yourself:  recsys-lab serve {bundle}   and open {address.replace(str(given.port), '8000')}/docs")


def newest_bundle(root: Path) -> Path:
    found = [path.parent for path in root.glob("*/*/manifest.json") if not path.parent.name.startswith(".")]
    if not found:
        sys.exit(f"no bundle in {root}; `recsys-lab export best` writes one")
    return max(found, key=lambda folder: (folder / "manifest.json").stat().st_mtime)


def history_of(bundle: Path) -> dict[str, object]:
    """The first golden request with a history: real items of this bundle."""
    requests = (json.loads(line)["request"] for line in (bundle / "golden.jsonl").read_text().splitlines())
    history = next(request["history"] for request in requests if len(request.get("history", [])) > 2)
    return {"history": history[-5:], "k": 5}


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


def ask(url: str, body: dict[str, object]) -> dict[str, list[dict[str, object]]]:
    request = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urlopen(request) as response:
        answer: dict[str, list[dict[str, object]]] = json.load(response)
    return answer


if __name__ == "__main__":
    main()
