"""What was recorded is what is said: every adapter's messages, byte for byte."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from itertools import count

import httpx2
import pytest
from msgspec.structs import replace

from plugin.activation import saga
from plugin.activation.problem import Refusal
from plugin.activation.region import CentreProfile
from plugin.activation.rules import CardStatus, Standing
from plugin.activation.saga import Activation, Confirmation, Origin
from plugin.centre.enable2132 import Enable2132Centre
from plugin.centre.port import CentreAnswerError, CentreError
from plugin.centre.reference import ReferenceCentre
from plugin.profile_file import load_profile
from tests.centre import CentreProcess
from tests.exchanges import FOLDER, Replay, recorded
from tests.unit.worlds import medical, social_security

V4, V6 = (load_profile(name) for name in ("v4-old-authenticates", "v6-registration"))
LOST = CentreAnswerError
TODAY = date(2026, 11, 22)


def origin(profile: str, scenario: str) -> Origin:
    return Origin(
        intent_id="019ac2f0-1c00-7000-8000-000000000001",
        client_id="his",
        scenario=scenario,
        institution="H9999",
        profile=profile,
        pos_ref="MZ2026112200017",
        operator_ref="op-12",
        trace_id="trace-1",
        received_at="2026-11-22T09:30:05+08:00",
    )


def enabled(address: str, person: str, times: int) -> list[object]:
    """One record sent for the first time, and again after silence."""
    centre = Enable2132Centre(replace(V4.centre, address=address))
    asked_by, card = origin(V4.label, "pharmacy"), social_security(person)
    name = named(person)
    message = centre.compose(name, card, medical(person), asked_by)
    record = Activation(origin=asked_by, activation_id=name, message=message, sends=1)
    again = replace(record, sends=2, unanswered=1)
    found = [outcome(centre.activate, each) for each in (record, again)[:times]]
    centre.close()
    return found


def registered(address: str, person: str, times: int) -> list[object]:
    """How a card stands: asked before the visit is registered, and after."""
    names = (f"question-{number}" for number in count(1))
    profile: CentreProfile = replace(V6.centre, address=address)
    centre = ReferenceCentre(profile, new_name=lambda: next(names))
    asked_by, card = (
        origin(V6.label, "outpatient_registration"),
        social_security(person),
    )
    found = [outcome(centre.card_status, card, asked_by) for _ in range(times)]
    centre.close()
    return found


def outcome(call: Callable[..., object], *arguments: object) -> object:
    """A value, or the kind of error."""
    try:
        return call(*arguments)
    except CentreError as error:
        return type(error)


def named(person: str) -> str:
    issue = social_security(person).issue
    return saga.activation_id(issue.identification_code, issue.issue_date, 1)


def accepted(person: str, by: str) -> saga.Accepted:
    return saga.Accepted(named(person), Confirmation(by=by))


INACTIVE = CardStatus(
    standing=Standing.INACTIVE,
    today=TODAY,
    handed_over=date(2026, 10, 13),
    financial_enabled=True,
    first_replacement=True,
)
REGISTERED = replace(
    INACTIVE,
    standing=Standing.ACTIVE,
    since="2026-11-22",
    channel="outpatient_registration",
)
REPORTED_LOST = replace(
    INACTIVE,
    standing=Standing.LOST,
    words=Refusal(code="2", text="该卡已挂失，不能启用"),
)
CASES: dict[str, tuple[Callable[[str, str, int], list[object]], str, list[object]]] = {
    "enable2132-accepted": (enabled, "jie", [accepted("jie", "answer")]),
    "enable2132-refused": (
        enabled,
        "luo",
        [
            saga.Refused(
                named("luo"), Refusal(code="-1", text="该卡已挂失，不能启用"), 1
            )
        ],
    ),
    "enable2132-answer-lost": (enabled, "lin", [LOST]),
    "enable2132-sent-again": (enabled, "lin", [LOST, accepted("lin", "refusal")]),
    "v6-accepted": (registered, "lin", [INACTIVE, REGISTERED]),
    "v6-refused": (registered, "luo", [REPORTED_LOST]),
    "v6-answer-lost": (registered, "lin", [INACTIVE, LOST]),
    "v6-asked-again": (registered, "lin", [INACTIVE, LOST, REGISTERED]),
}


def test_every_transcript_is_replayed() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_what_is_said_and_what_comes_of_it(name: str) -> None:
    said, person, expected = CASES[name]
    exchanges = recorded(name)

    with Replay(exchanges) as centre:
        found = said(centre.address, person, len(exchanges))

    assert centre.asked == [each.request for each in exchanges]
    assert found == expected


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("enable")])
def test_the_simulated_centre_says_the_same(name: str, centre: CentreProcess) -> None:
    with httpx2.Client(base_url=centre.address, trust_env=False) as client:
        for each in recorded(name):
            said = client.post(each.path, content=each.sent, headers=each.headers)

            assert each.received in (None, said.content)


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("v6")])
def test_the_simulated_centre_says_it_in_the_same_form(
    name: str, centre: CentreProcess
) -> None:
    with httpx2.Client(base_url=centre.address, trust_env=False) as client:
        for each in recorded(name):
            said = client.post(each.path, content=each.sent, headers=each.headers)
            recorded_then = json.loads(each.received or said.content)

            assert {*said.json()} == {*recorded_then}
            assert said.json()["message_id"] == recorded_then["message_id"]
