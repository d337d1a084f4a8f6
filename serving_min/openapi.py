"""The OpenAPI page, built from the types that the server really decodes and encodes."""

from __future__ import annotations

from typing import Any

import msgspec

from serving_min.manifest import Manifest
from serving_min.messages import DEFAULT_K, MOST_ITEMS, Answer, Problem, Request, Similar

Schema = dict[str, Any]
TYPES = (Request, Answer, Similar, Problem, Manifest)


def openapi(manifest: Manifest) -> Schema:
    """The description of a server of this bundle, OpenAPI 3.1."""
    schemas, components = msgspec.json.schema_components(TYPES, ref_template="#/components/schemas/{name}")
    of: dict[type, Schema] = dict(zip(TYPES, schemas, strict=True))

    def responses(good: type | None, *problems: tuple[int, str]) -> Schema:
        schema = {"type": "object"} if good is None else of[good]
        described = {"200": {"description": "as asked", "content": {"application/json": {"schema": schema}}}}
        for status, why in problems:
            content = {"application/json": {"schema": of[Problem]}}
            described[str(status)] = {"description": why, "content": content}
        return described

    unfit = (422, "the request cannot be understood; `error` says where")
    busy = (503, "too many requests are waiting; see Retry-After")
    body = {"required": True, "content": {"application/json": {"schema": of[Request]}}}
    item = {"name": "item_id", "in": "path", "required": True, "schema": {"type": "string"}}
    count = {"type": "integer", "minimum": 1, "maximum": MOST_ITEMS, "default": DEFAULT_K}
    k = {"name": "k", "in": "query", "schema": count}
    return {
        "openapi": "3.1.0",
        "info": {"title": f"recommendations: {manifest.name}", "version": manifest.version},
        "paths": {
            "/v1/recommend": {
                "post": {
                    "summary": "The best items for a history",
                    "requestBody": body,
                    "responses": responses(Answer, unfit, (413, "the body is larger than 1 MiB"), busy),
                }
            },
            "/v1/similar/{item_id}": {
                "get": {
                    "summary": "The items most like one item",
                    "parameters": [item, k],
                    "responses": responses(Similar, (404, "no such item"), unfit, busy),
                }
            },
            "/v1/model": {"get": {"summary": "The bundle's manifest", "responses": responses(Manifest)}},
            "/healthz": {"get": {"summary": "The process is alive", "responses": responses(None)}},
            "/readyz": {"get": {"summary": "Requests will be answered in time", "responses": responses(None, busy)}},
        },
        "components": {"schemas": components},
    }
