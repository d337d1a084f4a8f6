"""What one would otherwise write: FastAPI, the torch model, and a product with all vectors.

    PEER_PYTHON -m experiments.benchmarks.serving.peer FOLDER

The folder holds ``encoder.pt2`` (the same trained network), ``vectors.npy`` and ``ids.json``. It runs in an environment
of its own, so it imports nothing of this project.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import numpy as np
import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Request(BaseModel):
    history: list[str]
    k: int = 10


class Item(BaseModel):
    id: str
    score: float


class Answer(BaseModel):
    items: list[Item]


def create_app(folder: Path) -> FastAPI:
    torch.set_num_threads(1)
    model = torch.export.load(folder / "encoder.pt2").module()
    vectors = torch.from_numpy(np.load(folder / "vectors.npy"))
    ids = json.loads((folder / "ids.json").read_text())
    codes = {item: code for code, item in enumerate(ids)}
    app = FastAPI()

    @app.post("/v1/recommend")
    def recommend(request: Request) -> Answer:
        known = [codes[item] for item in request.history if item in codes][-50:]
        places = torch.arange(len(known))
        with torch.inference_mode():
            scores = model(vectors[known], places, places[None])[0] @ vectors.T
            scores[known] = -torch.inf
            best = scores.topk(request.k)
        found = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        return Answer(items=[Item(id=ids[code], score=score) for code, score in found])

    return app


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(create_app(Path(sys.argv[1])), log_level="warning", access_log=False)
    sys.stdout.write(f"ready at http://127.0.0.1:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    uvicorn.Server(config).run(sockets=[listener])
