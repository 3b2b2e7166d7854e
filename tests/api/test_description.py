"""The API's description of itself is whole, and true."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator
from openapi_spec_validator import validate

from plugin import main
from plugin.api.description import EVENTS, describe
from plugin.api.events import STREAMS_MAX
from plugin.api.operation import Operation
from plugin.api.receipts import Receipts
from plugin.api.rendering import Rendering
from simulator.people import CAST
from tests.agents import Pos, Running
from tests.api.test_events import activated, following
from tests.leaks import find
from tests.listed import offered, unlisted
from tests.scenario.counter import Counter

ROOT = Path(__file__).parents[2]
RECEIPTS = Receipts(main.texts("receipts"), "H1")
RENDERING = Rendering(main.catalogue(), main.prompts(), RECEIPTS, main.checks())
DOCUMENT = describe(offered(), "1.0.0", RENDERING)
OPERATIONS = pytest.mark.parametrize(
    "operation",
    [each for each in offered() if not each.page],
    ids=lambda each: f"{each.method} {each.path}",
)


def described(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][operation.path][operation.method.lower()]
    return found


def mistakes(schema: dict[str, Any], value: object) -> list[str]:
    """What of a value does not fit a schema of the document."""
    whole = {**schema, "components": DOCUMENT["components"]}
    return [each.message for each in Draft202012Validator(whole).iter_errors(value)]


def resolved(example: dict[str, Any]) -> object:
    """An example's value, also where it stands elsewhere."""
    name = example.get("$ref", "").rpartition("/")[2]
    return DOCUMENT["components"]["examples"][name]["value"] if name else example


def shown(described: dict[str, Any]) -> Iterator[tuple[dict[str, Any], object]]:
    """Every schema that has an example, with it."""
    contents = [described.get("requestBody", {}).get("content", {})]
    contents += [each.get("content", {}) for each in described["responses"].values()]
    for media in (media for content in contents for media in content.values()):
        if "example" in media:
            yield media["schema"], media["example"]
        for example in media.get("examples", {}).values():
            yield media["schema"], resolved(example)
    for parameter in described["parameters"]:
        if "example" in parameter:
            yield parameter["schema"], parameter["example"]


def test_the_agent_serves_it_and_it_is_valid_openapi(pos: Pos) -> None:
    served = pos.request("GET", "/openapi.json").body

    assert set(served["paths"]) == set(DOCUMENT["paths"])
    validate(served)


@OPERATIONS
def test_every_operation_says_what_it_does(operation: Operation) -> None:
    told = described(operation)

    assert 10 < len(told["summary"]) <= 160
    assert told["description"].startswith(told["summary"])
    wanted = [] if operation.scope is None else [{"bearer": [operation.scope]}]
    assert told["security"] == wanted


@OPERATIONS
def test_every_example_fits_its_shape(operation: Operation) -> None:
    examples = list(shown(described(operation)))

    assert examples
    for schema, example in examples:
        assert mistakes(schema, example) == []


def test_an_example_that_does_not_fit_would_be_seen() -> None:
    schema = {"$ref": "#/components/schemas/StartTransaction"}

    assert mistakes(schema, {"kind": "robbery", "scenario": "pharmacy"})


@OPERATIONS
def test_every_shape_that_is_said_or_answered_has_an_example(
    operation: Operation,
) -> None:
    told = described(operation)

    contents = [told.get("requestBody", {}).get("content", {})]
    contents += [each.get("content", {}) for each in told["responses"].values()]
    without = [
        kind
        for content in contents
        for kind, media in content.items()
        if "json" in kind and not {"example", "examples"} & set(media)
    ]
    parameters = [
        each["name"]
        for each in told["parameters"]
        if each["in"] == "path" and "example" not in each
    ]
    assert without == parameters == []


@OPERATIONS
def test_every_refusal_is_listed_under_its_status(operation: Operation) -> None:
    problems = {
        int(status): answer.get("content", {}).get("application/problem+json", {})
        for status, answer in described(operation)["responses"].items()
    }

    listed = {
        code: status
        for status, problem in problems.items()
        for code in problem.get("examples", {})
    }
    entries = {entry.code: entry.http for entry in main.catalogue()}
    assert listed == {code: entries[code] for code in operation.codes}


def test_what_stands_at_the_door_depends_on_the_door() -> None:
    by_path = {(each.method, each.path): each.codes for each in offered()}

    assert not {"auth.scope", "auth.token_missing"} & by_path["GET", "/healthz"]
    assert "auth.scope" in by_path["GET", "/readyz"]
    assert "request.not_json" not in by_path["GET", "/v1/readers"]
    start = by_path["POST", "/v1/transactions"]
    assert {"request.not_json", "idempotency.key_missing", "reader.busy"} <= start


def test_a_refusal_that_is_not_listed_is_noticed() -> None:
    path = "/v1/transactions/t-00000000000000000000000000000000?wait=1"

    assert unlisted("GET", path, "reader.busy")
    assert not unlisted("GET", path, "transaction.unknown")
    assert not unlisted("GET", "/v1/nowhere", "reader.busy")


def test_every_type_of_event_is_described() -> None:
    rooms = (ROOT / "plugin").rglob("*.py")
    source = "".join(
        file.read_text(encoding="utf-8")
        for file in rooms
        if file.name != "description.py"
    )

    told = set(
        re.findall(r'(?:tell|as_event)\(\s*(?:run, )?"([a-z_]+\.[a-z_]+)"', source)
    )
    assert len(told) > 10
    assert told <= set(EVENTS)
    assert [kind for kind in EVENTS if f'"{kind}"' not in source] == []


def test_every_event_that_is_told_fits_the_description(
    pos: Pos, counter: Counter
) -> None:
    with following(pos) as stream:
        activated(counter)
        told = stream.until("transaction.completed")

    schema = {"$ref": "#/components/schemas/Event"}
    numbered = [each["data"] for each in told if "id" in each]
    assert len(numbered) > 10
    assert [mistakes(schema, each) for each in numbered] == [[]] * len(numbered)
    assert {each["event"] for each in told} <= set(EVENTS)


def test_the_types_stand_where_a_reader_of_the_document_looks() -> None:
    events = DOCUMENT["paths"]["/v1/events"]["get"]
    stream = events["responses"]["200"]["content"]["text/event-stream"]

    assert all(f"`{kind}`" in events["description"] for kind in EVENTS)
    assert stream["x-data"] == {"$ref": "#/components/schemas/Event"}
    assert stream["example"].startswith("event: ")


def test_what_is_answered_leads_to_what_can_be_asked_next() -> None:
    begun = DOCUMENT["paths"]["/v1/transactions"]["post"]["responses"]["202"]

    assert {"transaction", "cancel", "confirm", "go_on", "pin"} <= set(begun["links"])
    assert begun["links"]["cancel"]["parameters"] == {
        "transaction_id": "$response.body#/id"
    }


@pytest.mark.parametrize(("status", "ready"), [("200", True), ("503", False)])
def test_ready_and_not_ready_are_shown_as_such(status: str, ready: bool) -> None:
    answer = DOCUMENT["paths"]["/readyz"]["get"]["responses"][status]

    assert answer["content"]["application/json"]["example"]["ready"] is ready


def test_nobody_is_named_in_an_example() -> None:
    assert find([("document", json.dumps(DOCUMENT).encode())], CAST) == []


def test_a_method_that_is_not_there_is_told_which_are(pos: Pos) -> None:
    refused = pos.request("PUT", "/v1/transactions", {})

    assert refused.status == 405
    assert refused.headers["allow"] == "GET, POST"


def test_who_is_refused_for_a_while_is_told_how_long(agent: Running) -> None:
    hub = agent.agent.hub
    for _ in range(STREAMS_MAX):
        hub.follow()

    refused = agent.pos.request("GET", "/v1/events")

    assert (refused.status, refused.code) == (503, "stream.too_many_clients")
    assert int(refused.headers["retry-after"]) > 0
