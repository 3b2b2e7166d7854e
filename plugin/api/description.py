"""The API's description of itself (OpenAPI 3.1), made from its operations when somebody asks."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from plugin.api import answers
from plugin.api.events import EVENT_STREAM
from plugin.api.operation import LAST_EVENT_ID, Heading, Operation
from plugin.api.requests import Nothing

PROBLEM_STATUSES = (
    400,
    401,
    403,
    404,
    405,
    409,
    413,
    415,
    421,
    422,
    428,
    429,
    503,
    507,
)
_TEMPLATE = "#/components/schemas/{name}"


def describe(operations: Iterable[Operation], version: str) -> dict[str, Any]:
    """The whole document; pages are no part of the API."""
    operations = [each for each in operations if not each.page]
    kinds = {kind for each in operations for kind in _kinds(each)} | {answers.Problem}
    in_order = sorted(kinds, key=lambda kind: kind.__name__)
    _, schemas = msgspec.json.schema_components(in_order, ref_template=_TEMPLATE)
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        described = _operation(each, schemas)
        paths.setdefault(each.path, {})[each.method.lower()] = described
    said = {each.takes[1].__name__ for each in operations}
    for shape in {each.takes[0].__name__ for each in operations} - said:
        del schemas[shape]  # its properties have become parameters
    bearer = {"bearer": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "kaqi", "version": version},
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": bearer},
    }


def _kinds(operation: Operation) -> Iterator[type[Struct]]:
    yield from operation.takes
    yield from filter(None, operation.answers.values())


def _operation(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    where, body = operation.takes
    described: dict[str, Any] = {
        "operationId": operation.does.__name__,
        "description": inspect.getdoc(operation.does),
        "parameters": [
            *_parameters(operation, schemas[where.__name__]),
            *(_header(heading) for heading in operation.headings),
        ],
        "responses": _responses(operation),
    }
    if operation.path == "/healthz":
        described["security"] = []
    if operation.method != "GET":
        content = {"application/json": {"schema": _reference(body)}}
        described["requestBody"] = {"required": body is not Nothing, "content": content}
    return described


def _parameters(
    operation: Operation, shape: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    for name, schema in shape["properties"].items():
        yield {
            "name": name,
            "in": "path" if name in operation.path_names else "query",
            "required": name in shape["required"],
            "schema": schema,
        }


def _header(heading: Heading) -> dict[str, Any]:
    return {
        "name": heading.name,
        "in": "header",
        "required": heading.required,
        "description": heading.about,
        "schema": {"type": "string"},
    }


def _responses(operation: Operation) -> dict[str, Any]:
    media = EVENT_STREAM if LAST_EVENT_ID in operation.headings else "application/json"
    refused = dict.fromkeys(map(str, PROBLEM_STATUSES), _refusal())
    return refused | {
        str(status): _answer(kind, media) if kind else {"description": "Done."}
        for status, kind in operation.answers.items()
    }


def _refusal() -> dict[str, Any]:
    return _answer(answers.Problem, "application/problem+json")


def _answer(kind: type[Struct], media: str) -> dict[str, Any]:
    summary = (inspect.getdoc(kind) or "").split("\n\n")[0].replace("\n", " ")
    return {"description": summary, "content": {media: {"schema": _reference(kind)}}}


def _reference(kind: type[Struct]) -> dict[str, str]:
    return {"$ref": _TEMPLATE.format(name=kind.__name__)}
