"""Fetching whole answers, within bounds (ISO 7816-4, 11.7.1)."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager

import pytest

from drivers.conversation import (
    MAX_COMMANDS,
    EndlessResponseError,
    converse,
    exchange,
)
from drivers.errors import CardRemovedError, NoKeypadError
from drivers.iso7816.apdu import CommandApdu, ResponseApdu
from drivers.iso7816.exchange import follow_up
from drivers.ports import Disposition, PinEntry, PinOperation
from drivers.trace import TracedConnection

READ = CommandApdu(cla=0, ins=0xB2, p1=1, p2=0, ne=18)


class ScriptedConnection:
    """Answers from a list, and remembers what it was sent."""

    atr = b"\x3b\x00"

    def __init__(self, *answers: str) -> None:
        self._answers = iter(answers)
        self.sent: list[str] = []
        self.held = 0

    def transmit(self, command: CommandApdu) -> ResponseApdu:
        self.sent.append(bytes(command).hex(" ").upper())
        answer = next(self._answers)
        if answer == "pulled":
            raise CardRemovedError
        return ResponseApdu.parse(bytes.fromhex(answer))

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        self.held += 1
        try:
            yield
        finally:
            self.held -= 1

    def keypad(self) -> frozenset[PinOperation]:
        return frozenset()

    def enter_pin(self, entry: PinEntry) -> ResponseApdu:
        raise NoKeypadError(str(entry.command))

    def close(self, disposition: Disposition = Disposition.LEAVE) -> None:
        del disposition


@pytest.mark.parametrize(
    ("answer", "following"),
    [
        pytest.param("90 00", None, id="all said"),
        pytest.param("61 10", "00 C0 00 00 10", id="more to fetch"),
        pytest.param("61 00", "00 C0 00 00 00", id="256 or more to fetch"),
        pytest.param("6C 12", "00 B2 01 00 12", id="another length"),
        pytest.param("6C 00", "00 B2 01 00 00", id="256"),
        pytest.param("6A 83", None, id="no"),
    ],
)
def test_the_answer_says_what_to_send_next(answer: str, following: str | None) -> None:
    command = follow_up(READ, ResponseApdu.parse(bytes.fromhex(answer)))

    assert (bytes(command).hex(" ").upper() if command else None) == following


def test_get_response_goes_out_with_cla_00_whatever_the_command_had() -> None:
    proprietary = CommandApdu(cla=0x80, ins=0x5E, p1=1, p2=0)

    command = follow_up(proprietary, ResponseApdu.parse(bytes.fromhex("61 08")))

    assert command is not None
    assert command.cla == 0x00


def test_an_answer_in_pieces_is_put_together() -> None:
    card = ScriptedConnection("01 02 61 03", "03 04 05 61 01", "06 90 00")

    response = exchange(card, READ)

    assert bytes(response).hex(" ") == "01 02 03 04 05 06 90 00"
    assert card.sent == ["00 B2 01 00 12", "00 C0 00 00 03", "00 C0 00 00 01"]


def test_a_wrong_length_is_corrected_once_and_not_for_ever() -> None:
    card = ScriptedConnection("6C 05", "6C 05", "6C 05")

    with pytest.raises(EndlessResponseError):
        exchange(card, READ)

    assert len(card.sent) == 2


def test_a_card_that_always_has_more_is_given_up() -> None:
    card = ScriptedConnection(*["61 01"] * (MAX_COMMANDS + 5))

    with pytest.raises(EndlessResponseError):
        exchange(card, READ)

    assert len(card.sent) == MAX_COMMANDS


def test_a_card_that_sends_too_much_is_given_up() -> None:
    piece = "AA" * 60_000 + "61 00"
    card = ScriptedConnection(*[piece] * 5)

    with pytest.raises(EndlessResponseError):
        exchange(card, READ)

    assert len(card.sent) == 2


def test_a_last_piece_that_is_too_much_is_given_up_as_well() -> None:
    card = ScriptedConnection("AA" * 60_000 + "61 00", "AA" * 60_000 + "90 00")

    with pytest.raises(EndlessResponseError):
        exchange(card, READ)


def two_commands() -> Generator[CommandApdu, ResponseApdu, bytes]:
    first = yield READ
    second = yield READ
    return first.data + second.data


def test_a_procedure_is_carried_to_its_result_with_the_card_held() -> None:
    card = ScriptedConnection("01 90 00", "02 90 00")
    held: list[int] = []
    traced = TracedConnection(card, lambda _, __: held.append(card.held))

    result = converse(traced, two_commands())

    assert result == b"\x01\x02"
    assert set(held) == {1}
    assert card.held == 0


def test_a_pulled_card_closes_the_procedure_and_lets_go_of_the_card() -> None:
    card = ScriptedConnection("01 90 00", "pulled")
    procedure = two_commands()

    with pytest.raises(CardRemovedError):
        converse(card, procedure)

    assert card.held == 0
    assert procedure.gi_frame is None  # type: ignore[attr-defined]


def test_every_exchange_is_shown_before_and_after() -> None:
    card = ScriptedConnection("01 90 00")
    shown: list[tuple[str, str | None]] = []

    TracedConnection(
        card, lambda sent, got: shown.append((repr(sent), repr(got) if got else None))
    ).transmit(READ)

    assert shown == [
        ("<CommandApdu 00 B2 01 00 Nc=0 Ne=18>", None),
        (
            "<CommandApdu 00 B2 01 00 Nc=0 Ne=18>",
            "<ResponseApdu 1 bytes, 9000 success>",
        ),
    ]
