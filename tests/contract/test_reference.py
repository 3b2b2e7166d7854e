"""What only the reference dialect has."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx2
import pytest

from plugin.activation import saga
from plugin.activation.problem import Refusal
from plugin.centre.port import Centre, CentreAnswerError
from plugin.centre.reference import Answer
from tests.centre import CentreProcess
from tests.contract.dialects import ORIGIN, A, B, Dialect, sending
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
