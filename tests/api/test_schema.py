"""Whatever a client makes up, the agent answers as it says it does. Schemathesis makes the
requests from the description: its examples, every edge of every shape, random ones good and
bad, and chains from one answer to the next request.

KAQI_SCHEMA_CASES asks for so many requests in all: the examples and edges, a turn with a fixed
seed, and turns with seeds that are shown when one fails.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import SystemRandom
from typing import Any

import pytest
import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from plugin.client import Transaction
from simulator.people import CAST
from simulator.reader import InProcessDesk
from tests.agents import PHARMACY, Pos, Running, running
from tests.centre import CentreProcess
from tests.leaks import find
from tests.listed import offered
from tests.scenario.counter import Counter, two_cards

CASES = int(os.environ.get("KAQI_SCHEMA_CASES", "1000"))
EDGES, TURN = 550, 200  # requests in examples and edges; at least as many in a turn
TURNS = max(2, (CASES - EDGES) // TURN)
EACH = 12  # requests for every operation in a turn
SCOPES = ("read", "activate", "operate", "simulate")  # all but to see people in clear
WAIT_AT_MOST = 0.05
PHASES = ("examples", "coverage", "fuzzing", "stateful")
LIN = [person for person in CAST if person.key == "lin"]
SEED = SystemRandom().getrandbits(32)
SEEDS = {"fixed": 1} | {f"random-{turn}": SEED + turn for turn in range(1, TURNS)}


@dataclass
class Seen:
    """What one run of the engine saw."""

    cases: int = 0
    statuses: set[int] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)
    content: list[bytes] = field(default_factory=list)

    @property
    def codes(self) -> set[str]:
        """The problems of all refusals."""
        said = b"\n".join(self.content)
        return set(map(bytes.decode, re.findall(rb"urn:kaqi:problem:([a-z_.]+)", said)))


@pytest.fixture(scope="module")
def agent(
    tmp_path_factory: pytest.TempPathFactory, session_centre: CentreProcess
) -> Iterator[Running]:
    """One that has somebody's cards in its readers and her transaction in its memory."""
    hand = InProcessDesk()
    folder = tmp_path_factory.mktemp("described")
    session_centre.reset()  # whoever was activated by an earlier module is not
    with running(
        folder,
        session_centre.address,
        {"inprocess": hand},
        hand,
        institution=PHARMACY,
    ) as started:
        counter = Counter(started, hand)
        confirmed: Transaction = started.pos.kaqi.confirm(two_cards(counter))
        started.pos.until(confirmed, lambda now: now.ended)
        yield started


@schemathesis.check
def keeps_to_the_rules(_: CheckContext, response: Response, __: Case[Any]) -> None:
    """What is ours beyond the description: nothing is kept, and refusals are problems."""
    kind = response.headers.get("content-type", [""])[0]
    is_problem = kind == "application/problem+json"
    told = response.json() if "json" in kind else {}
    assert response.headers["cache-control"] == ["no-store"]
    assert is_problem == (response.status_code >= 400 and "ready" not in told)
    if is_problem:
        assert told["code"]
        assert told["status"] == response.status_code
        assert not re.search(r"Traceback|\.py\b|SELECT ", response.text)


@schemathesis.hook
def before_call(_: HookContext, case: Case[Any], __: dict[str, Any]) -> None:
    """Nobody waits for what does not come."""
    said = (case.query or {}).get("wait")
    if isinstance(said, (int, float)) and said > WAIT_AT_MOST:
        case.query["wait"] = WAIT_AT_MOST


def explored(
    agent: Running, phases: tuple[str, ...], seed: int, token: str | None
) -> Seen:
    """Everything the engine finds in these phases."""
    # A request can fit the description and still be wrong at this moment, or name somebody.
    refused_at_will = ["2xx", 400, 401, 403, 404, 409, 410, 422, 428, 429, 507]
    config = SchemathesisConfig.from_dict(
        {
            "seed": seed,
            "base-url": f"http://127.0.0.1:{agent.port}",
            "headers": {"Authorization": f"Bearer {token}"} if token else {},
            "request-timeout": 30,
            "continue-on-failure": True,
            "generation": {"max-examples": EACH, "database": "none"},
            "phases": {name: {"enabled": name in phases} for name in PHASES},
            "checks": {
                "positive_data_acceptance": {"expected-statuses": refused_at_will},
                "missing_required_header": {"expected-statuses": [401, 415, 428]},
                # Here the content type is looked at before the method.
                "unsupported_method": {"enabled": False},
            },
        }
    )
    description = agent.pos.request("GET", "/openapi.json").body
    schema = schemathesis.openapi.from_dict(description, config=config)
    seen = Seen()
    # A stream of events does not end; it has tests of its own.
    for event in from_schema(schema.exclude(path="/v1/events")).execute():
        _note(event, seen)
    return seen


def _note(event: events.EngineEvent, seen: Seen) -> None:
    if isinstance(event, (events.NonFatalError, events.FatalError)):
        seen.failures.append(repr(vars(event)))
    if not isinstance(event, events.ScenarioFinished):
        return
    seen.cases += len(event.recorder.cases)
    for exchange in event.recorder.interactions.values():
        if exchange.response is not None:
            seen.statuses.add(exchange.response.status_code)
            if "/v1/simulate/" not in str(
                exchange.response.request.url
            ):  # the cast is named
                seen.content.append(exchange.response.content)
    for checks in event.recorder.checks.values():
        seen.failures += [
            f"{event.recorder.label}: {each.name}: {each.failure_info.failure.message}"
            for each in checks
            if each.failure_info is not None
        ]


@pytest.mark.parametrize(
    ("phases", "seed", "at_least"),
    [
        pytest.param(("examples", "coverage"), 1, EDGES, id="edges"),
        *(
            pytest.param(("fuzzing", "stateful"), seed, TURN, id=name)
            for name, seed in SEEDS.items()
        ),
    ],
)
def test_l5_every_answer_is_as_described(
    agent: Running, phases: tuple[str, ...], seed: int, at_least: int
) -> None:
    token = agent.folder.pair("explorer", SCOPES)

    seen = explored(agent, phases, seed, token)

    assert not seen.failures, (f"seed {seed}", seen.failures[:5])
    assert not find([("answers", b"\n".join(seen.content))], LIN)
    assert seen.statuses >= {200, 400, 404}
    assert 500 not in seen.statuses
    assert seen.cases >= at_least, f"seed {seed}"


def test_l2_without_a_token_nothing_is_told(agent: Running) -> None:
    seen = explored(agent, ("fuzzing",), SEED, token=None)

    assert not seen.failures, (f"seed {SEED}", seen.failures[:5])
    at_the_door = {"auth.token_missing", "auth.token_invalid"}
    before_it = {"pairing.unknown", "pairing.too_many", "auth.origin_denied"}
    assert at_the_door <= seen.codes
    assert seen.codes <= {
        *(*at_the_door, *before_it, "console.code_void"),
        *("request.not_found", "request.invalid"),
    }
    assert not find([("answers", b"\n".join(seen.content))], LIN)
    assert seen.cases >= EACH * len(offered()) // 2


def test_the_explorer_could_have_found_somebody(agent: Running) -> None:
    pos = Pos(agent.port, agent.pos.token)

    told = pos.request("GET", "/v1/transactions").body

    assert find([("identity", repr(told).encode())], LIN)
