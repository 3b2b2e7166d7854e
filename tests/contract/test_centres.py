"""What every adapter must do against a centre that misbehaves, over real HTTP. A dialect that
has no question for something is skipped there; ADAPTERS.md, beside the adapters, explains
the table."""

from __future__ import annotations

import dataclasses
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import date
from typing import Any

import pytest
from msgspec.structs import replace

from plugin.activation import saga
from plugin.activation.saga import Confirmation, Dedupe
from plugin.card.authentication import Algorithm, HsmQuestion
from plugin.centre import adapters
from plugin.centre.http import ANSWER_MAX_BYTES
from plugin.centre.port import (
    Centre,
    CentreAnswerError,
    CentreError,
    CentreTimeoutError,
    CentreUnreachableError,
    Patience,
)
from plugin.profile_file import load_profile
from simulator.people import PEOPLE
from tests.centre import CentreProcess
from tests.contract.dialects import (
    DIALECTS,
    HASTY,
    ORIGIN,
    PATIENCE,
    Dialect,
    activation_id,
    again,
    sending,
)
from tests.contract.liar import Liar, http
from tests.leaks import personal_values
from tests.unit.worlds import medical, social_security

QUESTION = HsmQuestion(
    region="999901",
    historical_bytes=bytes(13),
    algorithm=Algorithm.SM4,
    identification_code="",
    internal_process=bytes(8),
    internal_original=bytes(8),
    external_process=bytes(8),
    external_original=bytes(8),
)


@pytest.fixture(params=DIALECTS, ids=str)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    found: Dialect = request.param
    return found


@pytest.fixture
def adapter(dialect: Dialect, centre: CentreProcess) -> Iterator[Centre]:
    opened = dialect.at(centre.address)
    yield opened
    opened.close()


def test_the_table_has_every_adapter_and_every_class() -> None:
    profiles = [each.profile for each in DIALECTS]

    assert {each.abilities.dedupe for each in profiles} == set(Dedupe)
    assert {each.adapter for each in profiles} == set(adapters.OFFERS)
    assert set(adapters.OFFERS) == set(adapters._ADAPTERS)


def test_a_till_pays_for_the_dialect_it_speaks(dialect: Dialect) -> None:
    others = {each.profile.adapter for each in DIALECTS} - {dialect.profile.adapter}
    unwanted = {"httpcore2", *(f"plugin.centre.{name}" for name in others)}
    program = (
        "import sys\n"
        "from plugin.centre import adapters\n"
        "from plugin.profile_file import load_profile\n"
        f"adapters.opened(load_profile({dialect.region!r}).centre)\n"
        f"print(sorted({unwanted!r} & set(sys.modules)))\n"
    )

    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert ran.stdout.strip() == "[]"


# Messages.


def test_the_same_arguments_make_the_same_bytes(adapter: Centre) -> None:
    first, second = sending(adapter).message, sending(adapter).message

    assert first == second
    assert first != sending(adapter, "he").message
    assert b"H1" in (first or b"")


def test_an_id_has_one_name_and_a_name_one_id(adapter: Centre) -> None:
    first, other = activation_id("lin"), activation_id("he")

    assert adapter.message_name(first) == adapter.message_name(first)
    assert adapter.message_name(first) != adapter.message_name(other)
    assert first.startswith(adapter.message_name(first).lower())


@pytest.mark.parametrize("odd", ["\x00", "\x1b[2J", "\n", "\x7f", "\x9c", "<&>\"'"])
def test_what_a_damaged_card_says_spoils_no_message(
    adapter: Centre, centre: CentreProcess, odd: str
) -> None:
    card, name = social_security(), activation_id("lin")
    damaged = replace(card, name=f"{card.name}{odd}")
    message = adapter.compose(name, damaged, medical(), ORIGIN)

    answer = adapter.activate(replace(sending(adapter), message=message))

    assert isinstance(answer, saga.Accepted)
    assert not any(byte < 0x20 for byte in message)


def test_a_card_is_activated_once_however_often_it_is_sent(
    adapter: Centre, centre: CentreProcess
) -> None:
    first = sending(adapter)

    answers = [adapter.activate(each) for each in (first, first, again(first))]

    assert all(isinstance(answer, saga.Accepted) for answer in answers)
    assert len(centre.messages) == 3
    assert len(centre.effects) == 1


def test_a_success_is_ours(adapter: Centre) -> None:
    answer = adapter.activate(sending(adapter))

    assert isinstance(answer, saga.Accepted)
    assert answer.activation_id == activation_id("lin")
    assert not answer.confirmation.adopted


def test_a_card_active_elsewhere_is_adopted(
    adapter: Centre, centre: CentreProcess
) -> None:
    answer = adapter.activate(sending(adapter, "tang"))

    assert isinstance(answer, saga.Accepted)
    assert answer.confirmation.adopted
    assert centre.effects == []


@pytest.mark.parametrize("person", ["luo", "jiang", "duan", "wei", "yan", "gu"])
def test_a_refusal_comes_in_the_centres_words(
    adapter: Centre, centre: CentreProcess, person: str
) -> None:
    words = PEOPLE[person].record.words
    assert words is not None

    refused = adapter.activate(sending(adapter, person))

    assert isinstance(refused, saga.Refused)
    assert refused.refusal.text == words[1]
    assert refused.send == 1
    assert centre.effects == []


def test_a_refusal_is_not_remembered_against_the_card(
    dialect: Dialect, adapter: Centre, centre: CentreProcess
) -> None:
    centre.misbehave("refuse", dialect.operation, times=1)

    refused = adapter.activate(sending(adapter))
    afresh = adapter.activate(sending(adapter, sends=2))

    assert isinstance(refused, saga.Refused)
    assert refused.refusal.text == "中心暂不受理"
    assert isinstance(afresh, saga.Accepted)


@pytest.mark.parametrize(
    ("today", "answer"),
    [(date(2036, 2, 28), saga.Refused), (date(2036, 2, 29), saga.Accepted)],
    ids=["the day before", "sixteen"],
)
def test_a_child_grows_up(
    adapter: Centre, centre: CentreProcess, today: date, answer: type
) -> None:
    centre.set_today(today)

    found = adapter.activate(sending(adapter, "tong"))

    assert isinstance(found, answer)
    assert len(centre.effects) == (answer is saga.Accepted)


def test_words_about_the_holder_are_masked(
    dialect: Dialect, adapter: Centre, centre: CentreProcess
) -> None:
    personal = personal_values([PEOPLE["lin"]])
    del personal["lin old identification code"]  # no message says it
    if b"AKC021" not in (sending(adapter).message or b"AKC021"):
        del personal["lin old number"], personal["lin old card number"]
    words = {"code": "9", "text": "，".join(personal.values())}
    centre.misbehave("refuse", dialect.operation, times=1, words=words)

    refused = adapter.activate(sending(adapter))

    assert isinstance(refused, saga.Refused)
    assert not [each for each in personal.values() if each in refused.refusal.text]
    assert "****" in refused.refusal.text


def test_a_region_may_say_which_refusal_means_active(
    dialect: Dialect, centre: CentreProcess
) -> None:
    rules = load_profile("v4-old-authenticates").centre.refusals
    telling = replace(dialect.profile, refusals=(replace(rules[-1], code=None),))
    adapter = dataclasses.replace(dialect, profile=telling).at(centre.address)
    words = {"code": "-1", "text": "该卡已启用"}
    centre.misbehave("refuse", dialect.operation, words=words)
    first = sending(adapter)

    answers = [adapter.activate(each) for each in (first, again(first))]

    name = activation_id("lin")
    assert answers == [
        saga.Accepted(name, Confirmation(by="refusal", adopted=True)),
        saga.Accepted(name, Confirmation(by="refusal", adopted=False)),
    ]
    adapter.close()


# Answers that cannot be believed.


@pytest.mark.parametrize(
    ("fault", "error", "effects"),
    [
        ("lose_request", CentreAnswerError, 0),
        ("lose_answer", CentreAnswerError, 1),
        ("late", CentreAnswerError, 0),
        ("silence", CentreTimeoutError, 1),
        ("slow", CentreTimeoutError, 0),
        ("error_after_effect", CentreAnswerError, 1),
        ("wrong_echo", CentreAnswerError, 1),
        ("truncate", CentreAnswerError, 1),
        ("oversized", CentreAnswerError, 1),
        ("redirect", CentreAnswerError, 0),
        ("nonsense", CentreAnswerError, 1),
    ],
)
def test_an_answer_that_cannot_be_believed_is_no_answer(
    dialect: Dialect,
    adapter: Centre,
    centre: CentreProcess,
    fault: str,
    error: type[CentreError],
    effects: int,
) -> None:
    centre.misbehave(fault, dialect.operation, seconds=60)
    patience = HASTY if error is CentreTimeoutError else PATIENCE
    asking = dialect.at(centre.address, patience=patience)
    record = sending(asking)

    with pytest.raises(error):
        asking.activate(record)

    asking.close()
    assert len(centre.effects) == effects
    centre.behave()
    centre.let_go()
    answer = adapter.activate(again(record))
    centre.let_arrive()
    assert isinstance(answer, saga.Accepted)
    assert not answer.confirmation.adopted
    assert len(centre.effects) == 1


def test_a_message_that_comes_twice_has_one_effect(
    dialect: Dialect, adapter: Centre, centre: CentreProcess
) -> None:
    centre.misbehave("duplicate", dialect.operation)

    answer = adapter.activate(sending(adapter))

    assert isinstance(answer, saga.Accepted)
    assert len(centre.messages) == 2
    assert len(centre.effects) == 1


@pytest.mark.parametrize("location", ["/elsewhere", "//another.example/v1/activations"])
def test_nobody_is_followed_elsewhere(
    dialect: Dialect, adapter: Centre, centre: CentreProcess, location: str
) -> None:
    centre.misbehave("redirect", dialect.operation, location=location)

    with pytest.raises(CentreAnswerError):
        adapter.activate(sending(adapter))

    assert centre.received == {dialect.operation: 1}


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(http(b"{" * 50), id="no JSON"),
        pytest.param(http(b"[]"), id="no object"),
        pytest.param(http(b"{}"), id="no echo"),
        pytest.param(http(b"<a" * 50), id="no XML"),
        pytest.param(http(b"<DATA></DATA>"), id="nothing in it"),
        pytest.param(http(b"<html><body>please log in</body></html>"), id="a page"),
        pytest.param(http(b"\xff" * 50), id="no characters"),
        pytest.param(http(b"\x00" * 50), id="nothing but zeros"),
        pytest.param(http(b""), id="empty"),
        pytest.param(http(b"", "204 No Content"), id="nothing"),
        pytest.param(
            http(b"", "302 Found", "Location: http://127.0.0.1:1/\r\n"), id="redirect"
        ),
        pytest.param(http(b"", "429 Too Many"), id="too many"),
        pytest.param(http(b"x" * (ANSWER_MAX_BYTES + 1)), id="too large"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}", id="truncated"
        ),
        pytest.param(b"\x16\x03\x01\x02\x00" * 20, id="no HTTP"),
    ],
)
def test_a_liar_is_not_believed(dialect: Dialect, answer: bytes) -> None:
    with Liar(answer) as liar:
        adapter = dialect.at(liar.address)

        with pytest.raises(CentreAnswerError):
            adapter.activate(sending(adapter))

        adapter.close()


@pytest.mark.parametrize(
    "trickle",
    [
        pytest.param(http(b"{" * 500), id="a body in drops"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 500, id="a head without end"),
        pytest.param(b"HTTP/1.1 102 Processing\r\n\r\n" * 40, id="processing"),
    ],
)
def test_an_answer_in_drops_is_given_up_in_time(
    dialect: Dialect, trickle: bytes
) -> None:
    with Liar(trickle, pause=0.02) as liar:
        adapter = dialect.at(liar.address, patience=HASTY)
        record = sending(adapter)
        began = time.monotonic()

        with pytest.raises(CentreTimeoutError):
            adapter.activate(record)

        assert time.monotonic() - began < HASTY.total + 5
        adapter.close()


# Where the centre is.


def test_a_centre_that_is_gone_is_unreachable(dialect: Dialect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    gone = dialect.at(f"http://127.0.0.1:{port}")

    with pytest.raises(CentreUnreachableError):
        gone.activate(sending(gone))

    assert not gone.reachable()
    gone.close()


def named(monkeypatch: pytest.MonkeyPatch, addresses: list[str]) -> None:
    """The system finds these addresses for centre.example."""
    found = socket.getaddrinfo

    def looked_up(host: str, port: int, *more: int, **other: int) -> list[Any]:
        if host != "centre.example":
            return list(found(host, port, *more, **other))
        return [each for one in addresses for each in found(one, port, *more, **other)]

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)


@pytest.fixture
def silent() -> Iterator[int]:
    """A port at every address of this machine's own that takes no connection and refuses
    none: somebody else is waiting before us."""
    with (
        socket.create_server(("0.0.0.0", 0), backlog=0) as server,  # noqa: S104 - ours
        ExitStack() as waiting,
    ):
        port: int = server.getsockname()[1]
        for _ in range(4):
            before = waiting.enter_context(socket.socket())
            before.setblocking(False)
            before.connect_ex(("127.0.0.1", port))
        yield port


def test_many_silent_addresses_of_one_name_are_given_up_in_time(
    dialect: Dialect, silent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    named(monkeypatch, [f"127.0.0.{n}" for n in range(1, 6)])
    patience = Patience(connect=0.4, read=0.5, total=1)
    adapter = dialect.at(f"http://centre.example:{silent}", patience=patience)
    began = time.monotonic()

    with pytest.raises(CentreUnreachableError, match="no connection in time"):
        adapter.activate(sending(adapter))

    assert 0.7 < time.monotonic() - began < 1.4
    assert not adapter.reachable()
    adapter.close()


def test_a_name_is_tried_at_each_of_its_addresses(
    dialect: Dialect, centre: CentreProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    named(monkeypatch, ["127.0.0.2", "127.0.0.1"])  # nobody is at the first
    port = centre.address.rpartition(":")[2]
    adapter = dialect.at(f"http://centre.example:{port}")

    assert isinstance(adapter.activate(sending(adapter)), saga.Accepted)

    adapter.close()


@pytest.mark.parametrize(
    "address",
    [
        f"http://{'a' * 64}.example",
        "http://centre..example",
        "http://.example",
        "http://医保.example",
        "http://\udcff.example",
        f"http://{'a.' * 200}example",
        "http://127.0.0.1:99999",
        "http://",
        "centre.example",
    ],
)
def test_what_is_nobodys_address_reaches_nobody(dialect: Dialect, address: str) -> None:
    adapter = dialect.at(address)

    with pytest.raises(CentreError):
        adapter.activate(sending(adapter))

    assert not adapter.reachable()
    adapter.close()


def test_a_name_too_long_to_be_asked_for_is_unreachable(dialect: Dialect) -> None:
    adapter = dialect.at(f"https://{'a' * 64}.example")

    with pytest.raises(CentreUnreachableError):
        adapter.activate(sending(adapter))

    adapter.close()


# httpcore2 leaves the connection to the garbage then.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_till_without_certificates_reaches_nobody(
    dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    with Liar(b"") as liar:
        adapter = dialect.at(liar.address.replace("http:", "https:"))

        with pytest.raises(CentreUnreachableError):
            adapter.activate(sending(adapter))

        assert not adapter.reachable()
        adapter.close()


def test_a_centre_that_is_there_is_reachable(
    adapter: Centre, centre: CentreProcess
) -> None:
    assert adapter.reachable()
    assert adapter.address == centre.address
    assert centre.messages == []


def test_a_gateway_without_a_centre_is_not_one(dialect: Dialect) -> None:
    with Liar(http(b"", "502 Bad Gateway")) as gateway:
        adapter = dialect.at(gateway.address)

        assert not adapter.reachable()

        adapter.close()


def test_the_credential_goes_in_a_header_and_nothing_personal_in_the_address(
    dialect: Dialect,
) -> None:
    seen: list[str] = []
    server = socket.create_server(("127.0.0.1", 0))

    def listen() -> None:
        connection, _ = server.accept()
        with connection:
            seen.append(connection.recv(65_536).decode("latin-1"))

    thread = threading.Thread(target=listen)
    thread.start()
    address = f"http://127.0.0.1:{server.getsockname()[1]}"
    adapter = dialect.at(address, credential="key")

    with pytest.raises(CentreError):
        adapter.activate(sending(adapter))

    thread.join()
    server.close()
    adapter.close()
    head = seen[0].partition("\r\n\r\n")[0]
    request_line, *headers = head.split("\r\n")
    assert request_line.startswith("POST /")
    assert request_line.endswith(f"{dialect.operation} HTTP/1.1")
    assert "Authorization: Bearer key" in headers
    values = personal_values([PEOPLE["lin"]]).values()
    assert not [value for value in values if value in head]


# Questions, where a dialect has them.


def test_what_is_not_offered_is_refused_here(
    dialect: Dialect, adapter: Centre, centre: CentreProcess
) -> None:
    card, old = social_security(), medical()
    questions: dict[str, Callable[[], object]] = {
        "card_status": lambda: adapter.card_status(card, ORIGIN),
        "match": lambda: adapter.match(old, card, ORIGIN),
        "authenticate": lambda: adapter.authenticate(QUESTION, ORIGIN),
        "activation_status": lambda: adapter.activation_status(sending(adapter), 1),
    }
    offers = dialect.profile.offers

    for name, ask in questions.items():
        if not getattr(offers, name):
            with pytest.raises(CentreError, match="no such question"):
                ask()

    assert centre.received == {}


@pytest.mark.parametrize(
    ("person", "standing"),
    [(key, person.record.standing) for key, person in sorted(PEOPLE.items())],
)
def test_how_a_card_stands_is_told_in_the_centres_words(
    dialect: Dialect, adapter: Centre, person: str, standing: str
) -> None:
    dialect.needs("card_status")
    record = PEOPLE[person].record

    status = adapter.card_status(social_security(person), ORIGIN)

    said = (status.words.code, status.words.text) if status.words else None
    assert (status.standing, said) == (standing, record.words)
    assert status.first_replacement is record.first_replacement
    assert isinstance(status.today, date)


def test_the_centres_date_is_its_own(
    dialect: Dialect, adapter: Centre, centre: CentreProcess
) -> None:
    dialect.needs("card_status")
    before = adapter.card_status(social_security(), ORIGIN)

    centre.set_today(date(2027, 2, 28))
    after = adapter.card_status(social_security(), ORIGIN)

    assert after.today == date(2027, 2, 28)
    assert after.handed_over == before.handed_over


def test_a_card_the_centre_does_not_know_is_unknown(
    dialect: Dialect, adapter: Centre
) -> None:
    dialect.needs("card_status")
    card = social_security()
    code = "999901D15600000599999999FFFFFFFF"
    stranger = replace(card, issue=replace(card.issue, identification_code=code))

    assert adapter.card_status(stranger, ORIGIN).standing == "unknown"


def test_the_status_tells_what_became_of_a_message(
    dialect: Dialect, adapter: Centre
) -> None:
    dialect.needs("activation_status")
    record = sending(adapter)

    before = adapter.activation_status(record, 7)
    adapter.activate(record)
    after = adapter.activation_status(record, 8)

    assert before == saga.NotFound(activation_id("lin"), 7)
    assert isinstance(after, saga.Accepted)
    assert after.confirmation.by == "status"
    assert not after.confirmation.adopted
    assert after.confirmation.since


@pytest.mark.parametrize("person", ["luo", "wei"])
def test_a_card_that_cannot_be_activated_is_not_found(
    dialect: Dialect, adapter: Centre, person: str
) -> None:
    dialect.needs("activation_status")

    answer = adapter.activation_status(sending(adapter, person), 7)

    assert answer == saga.NotFound(activation_id(person), 7)


@pytest.mark.parametrize(("person", "same"), [("lin", True), ("he", False)])
def test_the_centre_knows_whose_an_old_card_is(
    dialect: Dialect, adapter: Centre, person: str, *, same: bool
) -> None:
    dialect.needs("match")
    silent = replace(medical("lin"), social_security_number=None)

    assert adapter.match(silent, social_security(person), ORIGIN) is same
