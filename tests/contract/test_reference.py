"""What only the reference dialect has."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx2
import pytest
from msgspec.structs import replace

from plugin.activation import saga
from plugin.activation.problem import Refusal
from plugin.centre.port import Centre, CentreAnswerError
from plugin.centre.reference import Answer, ReferenceCentre
from tests.centre import CentreProcess
from tests.contract.dialects import (
    ORIGIN,
    PATIENCE,
    A,
    B,
    Dialect,
    activation_id,
    sending,
)
from tests.contract.liar import Liar, http
from tests.unit.worlds import medical, social_security


@pytest.fixture
def adapter(centre: CentreProcess) -> Iterator[Centre]:
    opened = A.at(centre.address)
    yield opened
    opened.close()


def test_a_body_is_canonical(adapter: Centre) -> None:
    body = json.loads(sending(adapter).message or b"")

    assert list(body) == sorted(body)
    assert body["institution"] == "H1"


def test_the_same_message_gets_the_same_answer(
    adapter: Centre, centre: CentreProcess
) -> None:
    centre.misbehave("refuse", "activations", times=1)

    refused = adapter.activate(sending(adapter))
    repeated = adapter.activate(sending(adapter))
    afresh = adapter.activate(sending(adapter, sends=2))

    assert isinstance(refused, saga.Refused)
    assert repeated == refused
    assert isinstance(afresh, saga.Accepted)


@pytest.mark.parametrize("echo", ["message_id", "institution", "activation_id"])
def test_an_answer_to_another_message_is_not_believed(
    adapter: Centre, centre: CentreProcess, echo: str
) -> None:
    centre.misbehave("wrong_echo", "activations", echo=echo)

    with pytest.raises(CentreAnswerError, match=f"{echo} is not ours"):
        adapter.activate(sending(adapter))


def test_every_question_says_whose_it_is(centre: CentreProcess) -> None:
    adapter = A.at(centre.address)
    centre.misbehave("wrong_echo", "card-status")

    with pytest.raises(CentreAnswerError, match="message_id is not ours"):
        adapter.card_status(social_security(), ORIGIN)

    adapter.close()


@pytest.mark.parametrize(
    ("dialect", "question", "receipt"),
    [(A, "activation-status", "R00000001"), (B, "card-status", None)],
    ids=["class A", "class B"],
)
def test_what_became_of_a_message_is_asked_by_id_or_by_card(
    centre: CentreProcess, dialect: Dialect, question: str, receipt: str | None
) -> None:
    adapter = dialect.at(centre.address)
    record = sending(adapter)
    adapter.activate(record)

    found = adapter.activation_status(record, 1)

    assert centre.received == {"activations": 1, question: 1}
    assert isinstance(found, saga.Accepted)
    assert found.confirmation.receipt_no == receipt
    assert found.confirmation.channel == "pharmacy"
    adapter.close()


def test_half_a_character_does_not_spoil_an_answer() -> None:
    answer = Answer({"receipt_no": "R\ud842", "refusal": {"text": "half \ud842"}})

    assert answer.text("receipt_no") == "R?"
    assert answer.refusal("refusal") == Refusal(text="half ?")


def test_what_crosses_the_limit_is_masked_before_it_is_cut() -> None:
    answer = Answer({"text": "x" * 495 + " 999901190102021017"})

    assert "9999011" not in (answer.text("text") or "")


def test_the_old_cards_number_is_masked_too(
    adapter: Centre, centre: CentreProcess
) -> None:
    number = medical("lin").number
    assert number is not None
    words = {"code": "9", "text": f"原医保卡 {number} 已停用"}
    centre.misbehave("refuse", "activations", times=1, words=words)

    refused = adapter.activate(sending(adapter))

    assert isinstance(refused, saga.Refused)
    assert refused.refusal.text == f"原医保卡 {'*' * len(number)} 已停用"


def test_the_simulated_centre_publishes_its_contract(centre: CentreProcess) -> None:
    found = httpx2.get(f"{centre.address}/openapi.json", trust_env=False).json()

    operations = {"card-status", "match", "activations", "activation-status"}
    assert {f"/v1/{name}" for name in operations} <= set(found["paths"])
    assert found["components"]["schemas"]["ActivationAnswer"]["required"]


def said(
    text: str, operation: str, encoding: str = "utf-8"
) -> saga.Accepted | saga.NotFound:
    """What comes of an answer that is ours, to an activation or to what became of it.
    Raises CentreAnswerError."""
    echoes = {
        "activation_id": activation_id("lin"),
        "message_id": "m" if operation == "status" else "intent-1-1",
        "institution": "H1",
    }
    ours = text.replace("{", f"{json.dumps(echoes)[:-1]}, ", 1)
    with Liar(http(ours.encode(encoding))) as liar:
        profile = replace(A.profile, address=liar.address)
        adapter = ReferenceCentre(profile, patience=PATIENCE, new_name=lambda: "m")
        record = sending(adapter)
        try:
            if operation == "status":
                return adapter.activation_status(record, 1)
            found = adapter.activate(record)
        finally:
            adapter.close()
    assert isinstance(found, saga.Accepted)
    return found


BOTH = pytest.mark.parametrize("operation", ["activation", "status"])


@BOTH
def test_a_success_in_so_many_words_is_one(operation: str) -> None:
    found = said('{"result": "active", "refusal": null}', operation)

    assert isinstance(found, saga.Accepted)


@BOTH
@pytest.mark.parametrize(
    "text",
    [
        '{"result": "active", "refusal": {"code": "3"}}',
        '{"result": "active", "refusal": {}}',
    ],
)
def test_a_success_that_refuses_is_no_answer(operation: str, text: str) -> None:
    with pytest.raises(CentreAnswerError, match="says active and refuses"):
        said(text, operation)


@BOTH
@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        pytest.param('{"result": "refused", "result": "active"}', "utf-8", id="both"),
        pytest.param(
            '{"result": "active", "x": {"a": 1, "a": 1}}', "utf-8", id="twice within"
        ),
        pytest.param('{"result": "active"}', "utf-8-sig", id="a mark of order"),
        pytest.param('{"result": "active"}', "utf-16", id="UTF-16"),
        pytest.param('{"result": "active"}', "utf-32-le", id="UTF-32"),
        pytest.param('{"result": "active", "x": "\xff"}', "latin-1", id="Latin-1"),
    ],
)
def test_what_is_no_strict_json_is_no_answer(
    operation: str, text: str, encoding: str
) -> None:
    with pytest.raises(CentreAnswerError, match="no JSON that we take"):
        said(text, operation, encoding)


ODD = "\x1b[2J\n\x85\u202e\u200b\u3000"


@BOTH
def test_what_a_success_says_can_be_shown(operation: str) -> None:
    words = json.dumps(
        {
            "result": "active",
            "since": f"a{ODD}b",
            "receipt_no": f"{ODD}R",
            "channel": f"C{ODD}",
        }
    )

    found = said(words, operation)

    assert isinstance(found, saga.Accepted)
    told = found.confirmation
    assert told.since == "a [2J     b"
    assert told.receipt_no == " [2J     R"
    assert told.channel == "C [2J     "


def test_what_is_not_printable_neither_hides_nor_saves_a_name() -> None:
    answer = Answer({"text": "林\n晓, 999901\u202e190102021017"}, ("林\n晓",))

    assert answer.text("text") == "***, 999901 190102021017"
