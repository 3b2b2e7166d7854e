"""The API's description of itself (OpenAPI 3.1), made from its operations when somebody asks."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from msgspec import Struct

from plugin.api import answers, examples
from plugin.api.events import EVENT_STREAM, as_event
from plugin.api.operation import LAST_EVENT_ID, Heading, Operation
from plugin.api.rendering import Rendering

_SCHEMA = "#/components/schemas/{name}"
_EXAMPLE = "#/components/examples/{name}"
_PLAIN: Mapping[type, dict[str, str]] = {  # what is no JSON
    str: {"type": "string"},
    bytes: {"type": "string", "format": "binary"},
}
# Where in an answer stands what another operation's path asks for.
_LEADS: Mapping[type, tuple[str, str]] = {
    answers.Transaction: ("transaction_id", "$response.body#/id"),
    answers.Transactions: ("transaction_id", "$response.body#/transactions/0/id"),
    answers.Activation: ("intent_id", "$response.body#/id"),
    answers.Activations: ("intent_id", "$response.body#/activations/0/id"),
    answers.Readers: ("reader_id", "$response.body#/readers/0/id"),
}
_ABOUT = """\
Activates social security cards at their first use, for a POS on the same machine.

Errors are problem objects (RFC 9457): branch on `code` only. Every POST of the transactions
takes an Idempotency-Key: the same key and body again is the same effect once, and its answer.
"""
# Every type of event, and what it says. `stream.*` have no number and are told to one
# follower only.
EVENTS: Mapping[str, str] = {
    "stream.snapshot": "Where the stream begins: `readers` and live `transactions` by id.",
    "stream.gap": "Events after `last_event_id` are gone: look at everything anew.",
    "agent.started": "The agent has started; what was unfinished goes on.",
    "agent.degraded": "Something does not work; `code` says what.",
    "agent.recovered": "The readers of `transport` can be asked again.",
    "agent.stopping": "The agent stops; no more events come.",
    "reader.attached": "A reader is there.",
    "reader.detached": "A reader is gone.",
    "reader.changed": "Whether it can be used has changed; `state` says how.",
    "reader.faulted": "It does not work; `code` says why.",
    "card.inserted": "A card is in; `insertion_id` names its stay.",
    "card.mute": "A card is in and does not answer: turned, dirty or broken.",
    "card.recognised": "The card has been read.",
    "card.unsupported": "The card could not be read; `code` says why.",
    "card.left_in_reader": "The card's transaction is over; it should be taken out.",
    "card.removed": "The card is out.",
    "transaction.created": "A transaction has begun.",
    "transaction.changed": "Its snapshot has another `seq`.",
    "transaction.input_required": "Somebody at the counter must do something.",
    "transaction.in_doubt": "Nobody knows yet whether the card became active.",
    "transaction.completed": "It has ended; once for every transaction.",
    "transaction.acknowledged": "A client has the result.",
    "transaction.unacknowledged": "At the start: nobody has acknowledged this result yet.",
    "activation.changed": "The durable record has another `state`.",
    "client.paired": "A client was paired; an earlier one of its name is void.",
    "client.revoked": "Its token is void, and its event streams end.",
    "security.rejected": "Requests were turned away; `times` counts this `code`.",
}


def describe(
    operations: Iterable[Operation], version: str, rendering: Rendering
) -> dict[str, Any]:
    """The whole document; pages are no part of the API."""
    operations = [each for each in operations if not each.page]
    kinds = {kind for each in operations for kind in _kinds(each)} | {answers.Problem}
    in_order = sorted(kinds, key=lambda kind: kind.__name__)
    _, schemas = msgspec.json.schema_components(in_order, ref_template=_SCHEMA)
    schemas = {name: _for_others(schema) for name, schema in schemas.items()}
    describing = _Describing(operations, schemas, rendering)
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        paths.setdefault(each.path, {})[each.method.lower()] = describing.operation(
            each
        )
    said = {each.takes[1].__name__ for each in operations}
    for shape in {each.takes[0].__name__ for each in operations} - said:
        del schemas[shape]  # its properties have become parameters
    if "Event" in schemas:
        schemas["Event"]["properties"]["type"]["enum"] = list(EVENTS)
    refusals = sorted({code for each in operations for code in each.codes})
    bearer = {
        "type": "http",
        "scheme": "bearer",
        "description": "The token of a paired client; the list names the scope it needs.",
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "kaqi", "version": version, "description": _ABOUT},
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "examples": {
                code: {"value": examples.of_problem(rendering, code)}
                for code in refusals
            },
            "securitySchemes": {"bearer": bearer},
        },
    }


def _for_others(schema: Any) -> Any:  # noqa: ANN401 - any part of a JSON schema
    """The same for those who read patterns as JSON Schema means them (ECMA-262): there `$`
    is the end, and no line end can follow."""
    match schema:
        case dict():
            return {key: _for_others(value) for key, value in schema.items()}
        case list():
            return [_for_others(each) for each in schema]
        case str():
            return schema.removesuffix(r"(?!\n)")
        case _:
            return schema


def _kinds(operation: Operation) -> Iterator[type[Struct]]:
    yield from operation.takes
    for kind in operation.answers.values():
        if kind is not None and issubclass(kind, Struct):
            yield kind


class _Describing:
    """What the parts of the document have in common."""

    def __init__(
        self,
        operations: list[Operation],
        schemas: dict[str, Any],
        rendering: Rendering,
    ) -> None:
        self._operations = operations
        self._schemas = schemas
        self._catalogue = rendering.catalogue
        self._examples = examples.of_shapes(rendering)

    def operation(self, operation: Operation) -> dict[str, Any]:
        """One operation."""
        where, body = operation.takes
        about = " ".join((inspect.getdoc(operation.does) or "").split())
        if LAST_EVENT_ID in operation.headings:
            about = "\n".join([about, "", *_event_table()])
        scope = operation.scope
        described: dict[str, Any] = {
            "operationId": operation.does.__name__,
            "summary": about.partition(". ")[0].partition("\n")[0].rstrip("."),
            "description": about,
            "security": [] if scope is None else [{"bearer": [scope]}],
            "parameters": [
                *self._parameters(operation, where),
                *(_header(heading) for heading in operation.headings),
            ],
            "responses": self._responses(operation),
        }
        if operation.method != "GET":
            content = {"application/json": self._shown(body)}
            described["requestBody"] = {"required": True, "content": content}
        return described

    def _parameters(
        self, operation: Operation, where: type[Struct]
    ) -> Iterator[dict[str, Any]]:
        shape, example = self._schemas[where.__name__], self._examples.get(where, {})
        for name, schema in shape["properties"].items():
            yield {
                "name": name,
                "in": "path" if name in operation.path_names else "query",
                "required": name in shape["required"],
                "schema": schema,
                **({"example": example[name]} if name in example else {}),
            }

    def _responses(self, operation: Operation) -> dict[str, Any]:
        codes = defaultdict(list)
        for code in sorted(operation.codes):
            codes[self._catalogue.entry(code).http].append(code)
        described = {status: self._refusal(some) for status, some in codes.items()}
        for status, kind in operation.answers.items():
            told = self._answer(operation, status, kind)
            refused = described.get(status, {"content": {}})
            content = {**told.get("content", {}), **refused["content"]}
            described[status] = {**told, **({"content": content} if content else {})}
        return {str(status): described[status] for status in sorted(described)}

    def _refusal(self, codes: list[str]) -> dict[str, Any]:
        """The problems of one status, each with its example."""
        lines = [
            f"- `{code}`: {self._catalogue.entry(code).messages({}).english}"
            for code in codes
        ]
        schema = {
            "allOf": [
                {"$ref": _SCHEMA.format(name=answers.Problem.__name__)},
                {"properties": {"code": {"enum": codes}}},
            ]
        }
        shown = {code: {"$ref": _EXAMPLE.format(name=code)} for code in codes}
        content = {"application/problem+json": {"schema": schema, "examples": shown}}
        return {"description": "\n".join(lines), "content": content}

    def _answer(
        self,
        operation: Operation,
        status: int,
        kind: type[Struct | str | bytes] | None,
    ) -> dict[str, Any]:
        if kind is None:
            return {"description": HTTPStatus(204).phrase}
        if kind in _PLAIN:
            content = {operation.media: {"schema": _PLAIN[kind]}}
            return {"description": operation.media, "content": content}
        about = (inspect.getdoc(kind) or "").split("\n\n")[0].replace("\n", " ")
        if LAST_EVENT_ID in operation.headings:
            return {"description": about, "content": {EVENT_STREAM: self._stream()}}
        return {
            "description": about,
            "content": {operation.media: self._shown(kind, status)},
            **({"links": links} if (links := self._links(kind)) else {}),
        }

    def _links(self, kind: type) -> dict[str, Any]:
        """What can be asked next, with what this answer says."""
        name, place = _LEADS.get(kind, ("", ""))
        return {
            each.does.__name__: {
                "operationId": each.does.__name__,
                "parameters": {name: place},
            }
            for each in self._operations
            if name in each.path_names
        }

    def _shown(self, kind: type, status: int = 0) -> dict[str, Any]:
        """A shape with its example, where it has one."""
        shown = {"schema": {"$ref": _SCHEMA.format(name=kind.__name__)}}
        example = self._examples.get((kind, status)) or self._examples.get(kind)
        return shown | ({"example": example} if example is not None else {})

    def _stream(self) -> dict[str, Any]:
        """Server-sent events, the data of each an Event."""
        event = self._examples[answers.Event]
        example = as_event(event["type"], event, event["id"]).decode()
        data = {"$ref": _SCHEMA.format(name=answers.Event.__name__)}
        return {"schema": {"type": "string"}, "example": example, "x-data": data}


def _event_table() -> Iterator[str]:
    yield "The data of every event is an `Event`, one line of JSON. Its types:"
    yield ""
    for kind, about in EVENTS.items():
        yield f"- `{kind}`: {about}"


def _header(heading: Heading) -> dict[str, Any]:
    pattern = {"pattern": heading.pattern} if heading.pattern else {}
    return {
        "name": heading.name,
        "in": "header",
        "required": heading.required,
        "description": heading.about,
        "schema": {"type": "string", **pattern},
    }
