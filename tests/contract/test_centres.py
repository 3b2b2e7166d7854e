"""What every adapter must do against a centre that misbehaves, over real HTTP."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import date

import httpx2
import pytest
from msgspec.structs import replace

from plugin.activation import saga
from plugin.activation.problem import Refusal
from plugin.activation.region import CentreProfile
from plugin.activation.rules import Standing
from plugin.activation.saga import Activation, Origin
from plugin.centre.http import ANSWER_MAX_BYTES
from plugin.centre.port import (
    Centre,
    CentreAnswerError,
    CentreError,
    CentreTimeoutError,
    CentreUnreachableError,
    Patience,
)
from plugin.centre.reference import Answer, ReferenceCentre
from plugin.profile_file import load_profile
from tests.centre import CentreProcess
from tests.unit.worlds import medical, social_security

PROFILE = load_profile("reference").centre


def at(address: str) -> CentreProfile:
    return replace(PROFILE, address=address)


PATIENCE = Patience(connect=1, read=0.5, total=1)
ORIGIN = Origin(
    intent_id="intent-1",
    client_id="pos",
    scenario="pharmacy",
    institution="H1",
    profile="reference@1",
    trace_id="trace-1",
)


@pytest.fixture
def adapter(centre: CentreProcess) -> Iterator[Centre]:
    opened = ReferenceCentre(at(centre.address), patience=PATIENCE)
    yield opened
    opened.close()


def sending(adapter: Centre, person: str = "lin", *, sends: int = 1) -> Activation:
    card = social_security(person)
    name = saga.activation_id(card.issue.identification_code, card.issue.issue_date, 1)
    return Activation(
        origin=ORIGIN,
        activation_id=name,
        message=adapter.compose(name, card, medical(person), ORIGIN),
        sends=sends,
    )


def test_a_card_is_activated_once_however_often_it_is_sent(
    adapter: Centre, centre: CentreProcess
) -> None:
    answers = [adapter.activate(sending(adapter, sends=n)) for n in (1, 1, 2, 3)]

    assert all(isinstance(answer, saga.Accepted) for answer in answers)
    assert len({repr(answer) for answer in answers}) == 1
    assert len(centre.effects) == 1


def test_the_same_arguments_make_the_same_bytes(adapter: Centre) -> None:
    first, second = sending(adapter), sending(adapter)

    assert first.message == second.message
    body = json.loads(first.message or b"")
    assert list(body) == sorted(body)
    assert body["institution"] == "H1"


@pytest.mark.parametrize(
    ("person", "standing", "words"),
    [
        ("lin", Standing.INACTIVE, None),
        ("tang", Standing.ACTIVE, None),
        ("luo", Standing.LOST, "该卡已挂失，不能启用"),
        ("jiang", Standing.TEMPORARILY_LOST, "该卡已临时挂失"),
        ("duan", Standing.CANCELLED, "该卡已注销"),
        ("wei", Standing.NOT_HANDED_OUT, "该卡尚未发放"),
        ("yan", Standing.SUSPENDED, "金融账户逾期未激活，社保应用已挂失"),
        ("gu", Standing.EXPIRED, "该卡已过有效期"),
    ],
)
def test_how_a_card_stands_is_told_in_the_centres_words(
    adapter: Centre, person: str, standing: Standing, words: str | None
) -> None:
    status = adapter.card_status(social_security(person), ORIGIN)

    assert status.standing is standing
    assert (status.words.text if status.words else None) == words
    assert isinstance(status.today, date)


def test_a_card_the_centre_does_not_know_is_unknown(adapter: Centre) -> None:
    card = social_security()
    stranger = replace(
        card,
        issue=replace(
            card.issue, identification_code="999901D15600000599999999FFFFFFFF"
        ),
    )

    assert adapter.card_status(stranger, ORIGIN).standing is Standing.UNKNOWN


def test_a_refusal_is_not_remembered_against_the_card(
    adapter: Centre, centre: CentreProcess
) -> None:
    centre.misbehave("refuse", "activations", times=1)

    refused = adapter.activate(sending(adapter))
    repeated = adapter.activate(sending(adapter))
    afresh = adapter.activate(sending(adapter, sends=2))

    assert isinstance(refused, saga.Refused)
    assert refused.refusal.text == "中心暂不受理"
    assert repeated == refused
    assert isinstance(afresh, saga.Accepted)


def test_words_about_the_holder_are_masked(
    adapter: Centre, centre: CentreProcess
) -> None:
    words = {"code": "9", "text": "林试一（999901190102021017）的卡不能启用"}
    centre.misbehave("refuse", "activations", times=1, words=words)

    refused = adapter.activate(sending(adapter))

    assert isinstance(refused, saga.Refused)
    assert refused.refusal.text == "***（******************）的卡不能启用"


def test_a_card_active_elsewhere_is_adopted(adapter: Centre) -> None:
    answer = adapter.activate(sending(adapter, "tang"))

    assert isinstance(answer, saga.Accepted)
    assert answer.confirmation.adopted
    assert answer.confirmation.channel == "bank"


def test_the_status_tells_what_became_of_an_id(adapter: Centre) -> None:
    record = sending(adapter)

    before = adapter.activation_status(record, 7)
    adapter.activate(record)
    after = adapter.activation_status(record, 8)

    assert before == saga.NotFound(record.activation_id or "", 7)
    assert isinstance(after, saga.Accepted)
    assert not after.confirmation.adopted
    assert after.confirmation.receipt_no == "R00000001"


@pytest.mark.parametrize(("person", "same"), [("lin", True), ("he", False)])
def test_the_centre_knows_whose_an_old_card_is(
    adapter: Centre, person: str, *, same: bool
) -> None:
    silent = replace(medical("lin"), social_security_number=None)

    assert adapter.match(silent, social_security(person), ORIGIN) is same


@pytest.mark.parametrize(
    ("fault", "error", "effects"),
    [
        ("lose_request", CentreAnswerError, 0),
        ("lose_answer", CentreAnswerError, 1),
        ("silence", CentreTimeoutError, 1),
        ("slow", CentreTimeoutError, 0),
        ("error_after_effect", CentreAnswerError, 1),
        ("wrong_echo", CentreAnswerError, 1),
        ("nonsense", CentreAnswerError, 1),
    ],
)
def test_an_answer_that_cannot_be_believed_is_no_answer(
    adapter: Centre,
    centre: CentreProcess,
    fault: str,
    error: type[CentreError],
    effects: int,
) -> None:
    centre.misbehave(fault, "activations", seconds=1.0)
    record = sending(adapter)

    with pytest.raises(error):
        adapter.activate(record)

    assert len(centre.effects) == effects
    centre.behave()
    answer = adapter.activate(record)
    assert isinstance(answer, saga.Accepted)
    assert len(centre.effects) == 1


@pytest.mark.parametrize("echo", ["message_id", "institution", "activation_id"])
def test_an_answer_to_another_message_is_not_believed(
    adapter: Centre, centre: CentreProcess, echo: str
) -> None:
    centre.misbehave("wrong_echo", "activations", echo=echo)

    with pytest.raises(CentreAnswerError, match=f"{echo} is not ours"):
        adapter.activate(sending(adapter))


def test_a_centre_that_is_gone_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    gone = ReferenceCentre(at(f"http://127.0.0.1:{port}"), patience=PATIENCE)

    with pytest.raises(CentreUnreachableError):
        gone.card_status(social_security(), ORIGIN)

    assert not gone.reachable()
    gone.close()


def test_a_centre_that_is_there_is_reachable(adapter: Centre) -> None:
    assert adapter.reachable()


class Liar:
    """A server that answers every request with the same bytes."""

    def __init__(self, answer: bytes, *, pause: float = 0.0) -> None:
        self._answer = answer
        self._pause = pause
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Liar:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._server.close()
        self._thread.join()

    def _serve(self) -> None:
        self._server.settimeout(0.05)
        while not self._ended.is_set():
            try:
                connection, _ = self._server.accept()
            except OSError:
                continue
            with connection:
                connection.recv(65_536)
                self._say(connection)

    def _say(self, connection: socket.socket) -> None:
        try:
            if not self._pause:
                connection.sendall(self._answer)
                return
            for byte in self._answer:
                connection.sendall(bytes((byte,)))
                if self._ended.wait(self._pause):
                    return
        except OSError:
            return


def http(body: bytes, status: str = "200 OK", extra: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
    return head.encode() + body


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param(http(b"{" * 50), CentreAnswerError, id="no JSON"),
        pytest.param(http(b"[]"), CentreAnswerError, id="no object"),
        pytest.param(http(b"{}"), CentreAnswerError, id="no echo"),
        pytest.param(http(b"", "204 No Content"), CentreAnswerError, id="nothing"),
        pytest.param(
            http(b"", "302 Found", "Location: http://127.0.0.1:1/\r\n"),
            CentreAnswerError,
            id="redirect",
        ),
        pytest.param(http(b"", "429 Too Many"), CentreAnswerError, id="too many"),
        pytest.param(
            http(b"x" * (ANSWER_MAX_BYTES + 1)), CentreAnswerError, id="too large"
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
            CentreAnswerError,
            id="truncated",
        ),
        pytest.param(b"\x16\x03\x01\x02\x00" * 20, CentreAnswerError, id="no HTTP"),
    ],
)
def test_a_liar_is_not_believed(answer: bytes, error: type[CentreError]) -> None:
    with Liar(answer) as liar:
        adapter = ReferenceCentre(at(liar.address), patience=PATIENCE)

        with pytest.raises(error):
            adapter.activate(sending(adapter))

        adapter.close()


def test_an_answer_in_drops_is_given_up_in_time() -> None:
    with Liar(http(b"{" * 500), pause=0.02) as liar:
        adapter = ReferenceCentre(at(liar.address), patience=PATIENCE)

        with pytest.raises(CentreTimeoutError):
            adapter.card_status(social_security(), ORIGIN)

        adapter.close()


@pytest.mark.parametrize(
    "trickle",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 500, id="a head without end"),
        pytest.param(b"HTTP/1.1 102 Processing\r\n\r\n" * 40, id="processing"),
    ],
)
def test_an_answer_that_never_begins_is_given_up_in_time(trickle: bytes) -> None:
    with Liar(trickle, pause=0.02) as liar:
        adapter = ReferenceCentre(at(liar.address), patience=PATIENCE)
        began = time.monotonic()

        with pytest.raises(CentreTimeoutError):
            adapter.activate(sending(adapter))

        assert time.monotonic() - began < PATIENCE.total + 1
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


def test_the_credential_goes_in_a_header_and_nothing_personal_in_the_address() -> None:
    seen: list[str] = []
    server = socket.create_server(("127.0.0.1", 0))

    def listen() -> None:
        connection, _ = server.accept()
        with connection:
            seen.append(connection.recv(65_536).decode("utf-8", "replace"))

    thread = threading.Thread(target=listen)
    thread.start()
    address = f"http://127.0.0.1:{server.getsockname()[1]}"
    adapter = ReferenceCentre(at(address), credential="key", patience=PATIENCE)

    with pytest.raises(CentreError):
        adapter.card_status(social_security(), ORIGIN)

    thread.join()
    server.close()
    adapter.close()
    request_line, *headers = seen[0].split("\r\n")
    assert request_line == "POST /v1/card-status HTTP/1.1"
    assert "Authorization: Bearer key" in headers
    assert "Trace-Id: trace-1" in headers


def test_the_simulated_centre_publishes_its_contract(centre: CentreProcess) -> None:
    found = httpx2.get(f"{centre.address}/openapi.json", trust_env=False).json()

    operations = {"card-status", "match", "activations", "activation-status"}
    assert {f"/v1/{name}" for name in operations} <= set(found["paths"])
    assert found["components"]["schemas"]["ActivationAnswer"]["required"]
