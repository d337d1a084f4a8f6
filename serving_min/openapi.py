"""The OpenAPI page, built from the types that the server really decodes and encodes."""

from __future__ import annotations

from typing import Any

import msgspec

from serving_min.audit import Forgotten
from serving_min.erasure import Kept
from serving_min.events import Batch, Receipt
from serving_min.manifest import Manifest
from serving_min.messages import DEFAULT_K, MOST_ITEMS, Answer, Problem, Request
from serving_min.surfaces import Surface, Surfaces

Schema = dict[str, Any]
TYPES = (Request, Answer, Batch, Receipt, Problem, Manifest, Kept, Forgotten)
UNFIT = (422, "the request cannot be understood; `error` says where")
BUSY = (503, "too many requests are waiting; see Retry-After")
LARGE = (413, "the body is larger than 1 MiB")
SHUT = (
    (401, "where keys are asked for: none that the server knows"),
    (403, "the key lacks the role, or a page of another origin asks"),
    (429, "the key asks too often; see Retry-After"),
)


def openapi(manifest: Manifest, surfaces: Surfaces) -> Schema:
    """The description of a server of this bundle, OpenAPI 3.1."""
    schemas, components = msgspec.json.schema_components(TYPES, ref_template="#/components/schemas/{name}")
    of: dict[type, Schema] = dict(zip(TYPES, schemas, strict=True))

    def responses(good: type | None, *problems: tuple[int, str]) -> Schema:
        schema = {"type": "object"} if good is None else of[good]
        described = {"200": {"description": "as asked", "content": {"application/json": {"schema": schema}}}}
        for status, why in (*problems, *SHUT):
            content = {"application/json": {"schema": of[Problem]}}
            described[str(status)] = {"description": why, "content": content}
        return described

    paths: Schema = {
        "/v1/model": {"get": {"summary": "The bundle's manifest", "responses": responses(Manifest)}},
        "/healthz": {"get": {"summary": "The process is alive", "responses": responses(None)}},
        "/readyz": {"get": {"summary": "Requests will be answered in time", "responses": responses(None, BUSY)}},
    }
    reported = {"required": True, "content": {"application/json": {"schema": of[Batch]}}}
    paths["/v1/events"] = {
        "post": {
            "summary": "What users did; any content type will do",
            "requestBody": reported,
            "responses": responses(Receipt, UNFIT, LARGE),
        }
    }
    text = {"description": "as Prometheus reads them", "content": {"text/plain": {"schema": {"type": "string"}}}}
    paths["/metrics"] = {"get": {"summary": "Counters and times", "responses": {**responses(None), "200": text}}}
    user = {"name": "user", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    paths["/v1/users/{user}"] = {
        "parameters": [user],
        "delete": {"summary": "Forget a user, in state and log", "responses": responses(Forgotten, BUSY)},
    }
    paths["/v1/users/{user}/export"] = {
        "parameters": [user],
        "get": {"summary": "All that is kept of a user", "responses": responses(Kept, BUSY)},
    }
    body = {"required": True, "content": {"application/json": {"schema": of[Request]}}}
    item = {"name": "item_id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    k = {"name": "k", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": MOST_ITEMS}}
    for name, surface in surfaces.items():
        answers = responses(Answer, UNFIT, LARGE, BUSY)
        paths[f"/v1/{name}"] = {"post": {"summary": _about(surface), "requestBody": body, "responses": answers}}
        if not surface.personal:
            about = {"summary": f"The same for one item, {DEFAULT_K} items unless `k` says otherwise"}
            answers = responses(Answer, UNFIT, BUSY)
            paths[f"/v1/{name}/{{item_id}}"] = {"get": {**about, "parameters": [item, k], "responses": answers}}
    key = {"type": "http", "scheme": "bearer"}
    return {
        "openapi": "3.1.0",
        "info": {"title": f"recommendations: {manifest.name}", "version": manifest.version},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"key": key}},
        "security": [{}, {"key": []}],  # asked for only where the server has keys
    }


def _about(surface: Surface) -> str:
    asked = ", ".join(f"{asked.source} of {asked.of}" for asked in surface.retrievers) or "the fallback alone"
    needs = "" if surface.needs == "nothing" else f"; needs `{surface.needs}`"
    return f"{asked}{needs}"
