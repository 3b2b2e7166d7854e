"""The API's description of itself (OpenAPI), put together when somebody asks for it."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from msgspec import Struct

from plugin.api import answers

_TEMPLATE = "#/components/schemas/{name}"
_STARTED: dict[str, type[Struct]] = {
    "200": answers.Transaction,
    "202": answers.Transaction,
}
ANSWERS: dict[tuple[str, str], dict[str, type[Struct]]] = {
    ("post", "/v1/transactions"): _STARTED,
    ("post", "/v1/transactions/{transaction_id}/cancel"): _STARTED,
    ("post", "/v1/transactions/{transaction_id}/confirm"): _STARTED,
    ("post", "/v1/transactions/{transaction_id}/continue"): _STARTED,
    ("get", "/v1/transactions"): {"200": answers.Transactions},
    ("get", "/v1/transactions/{transaction_id}"): {"200": answers.Transaction},
    ("get", "/v1/activations"): {"200": answers.Activations},
    ("get", "/v1/activations/{intent_id}"): {"200": answers.Activation},
    ("get", "/v1/readers"): {"200": answers.Readers},
    ("get", "/v1/errors"): {"200": answers.CatalogueList},
    ("get", "/v1/events"): {"200": answers.Event},
    ("get", "/readyz"): {"200": answers.Readiness, "503": answers.Readiness},
    ("get", "/v1/simulate/cast"): {"200": answers.Cast},
}
PROBLEM_STATUSES = (400, 401, 403, 404, 405, 409, 413, 415, 421, 422, 428, 503, 507)


def describe(app: FastAPI) -> dict[str, Any]:
    """The document: what FastAPI knows of the routes, and what they answer."""
    document: dict[str, Any] = get_openapi(
        title=app.title, version=app.version, routes=app.routes
    )
    answered = {kind for each in ANSWERS.values() for kind in each.values()}
    kinds = [*sorted(answered, key=lambda kind: kind.__name__), answers.Problem]
    _, schemas = msgspec.json.schema_components(kinds, ref_template=_TEMPLATE)
    document.setdefault("components", {}).setdefault("schemas", {}).update(schemas)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _describe(operation, ANSWERS.get((method, path), {}))
    return document


def _describe(operation: dict[str, Any], answered: dict[str, type[Struct]]) -> None:
    responses = operation["responses"]
    for status, kind in answered.items():
        stream = "text/event-stream" in responses.get(status, {}).get("content", {})
        media = "text/event-stream" if stream else "application/json"
        responses[status] = _answer(kind, media)
    for status in map(str, PROBLEM_STATUSES):
        if status not in answered:
            responses[status] = _answer(answers.Problem, "application/problem+json")


def _answer(kind: type[Struct], media: str) -> dict[str, Any]:
    schema = {"$ref": _TEMPLATE.format(name=kind.__name__)}
    summary = (kind.__doc__ or "").split("\n\n")[0].split(". ")[0].replace("\n", " ")
    return {"description": summary, "content": {media: {"schema": schema}}}
