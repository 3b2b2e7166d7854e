"""What a PIN sends to a card, and what it makes of the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.conversation import Errand, Procedure
from drivers.errors import (
    CardRemovedError,
    CardResetError,
    NoKeypadError,
    PinCancelledError,
    PinMismatchError,
    ReaderTimeoutError,
)
from drivers.iso7816.apdu import CommandApdu, ResponseApdu
from drivers.iso7816.status_word import StatusWord
from drivers.ports import PinEntry, PinOperation
from plugin.card import pin
from plugin.card.errors import SwappedCardError
from plugin.card.files import Access
from plugin.card.pin import Digits, KeypadEntry, Pin, PinCommand
from simulator.card.engine import CardEngine
from simulator.keypad import Keypad
from simulator.people import PEOPLE, engine
from simulator.scenario import ScriptedCard
from tests.transcript import play

CODE = PEOPLE["lin"].social_security.identification_code
RIGHT, WRONG, OTHER = Pin("123456"), Pin("654321"), Pin("246813")
SIX = Digits(minimum=6, maximum=6)
Made = Callable[[], Procedure[pin.Answer]]


def card_and_reader(
    card: CardEngine, keypad: Keypad | None = None
) -> tuple[
    Callable[[CommandApdu], ResponseApdu], Callable[[Errand], ResponseApdu], list[str]
]:
    """A card, what runs errands for it, and every header that it was sent."""
    sent: list[str] = []

    def give(raw: bytes) -> ResponseApdu:
        sent.append(raw[:4].hex(" ").upper())
        return ResponseApdu.parse(card.process(raw))

    def run(errand: Errand) -> ResponseApdu:
        match errand:
            case PinCommand(command):
                return give(bytes(command))
            case KeypadEntry(entry) if keypad is not None:
                return give(keypad.command(entry))
            case _:
                raise NoKeypadError

    return lambda command: give(bytes(command)), run, sent


def present(
    card: CardEngine, procedure: Procedure[pin.Answer], keypad: Keypad | None = None
) -> tuple[pin.Answer, list[str]]:
    answer, run, sent = card_and_reader(card, keypad)
    return play(procedure, answer, run)[0], sent


digits = st.text("0123456789", min_size=3, max_size=12)


@given(digits)
def test_a_pin_is_packed_two_digits_a_byte(typed: str) -> None:
    packed = Pin(typed).packed

    assert packed.hex().upper().removesuffix("F") == typed
    assert 2 <= len(packed) <= 6
    assert 0xFF not in packed


@given(digits)
def test_no_text_that_is_made_of_a_pin_shows_it(typed: str) -> None:
    hidden = Pin(typed)
    command = pin.PinCommand(
        CommandApdu(cla=0, ins=0x20, p1=0, p2=0, data=hidden.packed)
    )

    for shown in (repr(hidden), str(hidden), f"{hidden}", repr(command)):
        assert typed not in shown
        assert hidden.packed.hex() not in shown.lower()


@pytest.mark.parametrize(
    "wrong", ["", "12", "1" * 13, "12345a", "１２３４５６", "-12345"]
)
def test_what_is_no_pin_is_none(wrong: str) -> None:
    with pytest.raises(ValueError, match="PIN"):
        Pin(wrong)


@pytest.mark.parametrize(
    ("minimum", "maximum", "fit"),
    [(6, 6, True), (5, 6, True), (4, 6, False), (6, 8, False), (7, 8, True)],
)
def test_a_keypad_takes_pins_that_fill_equally_many_bytes(
    minimum: int, maximum: int, *, fit: bool
) -> None:
    assert Digits(minimum=minimum, maximum=maximum).fit_a_keypad is fit


IDENTIFIED = ["00 A4 04 00", "00 A4 02 00", "00 B2 01 00"]


@pytest.mark.parametrize(
    ("made", "last"),
    [
        pytest.param(
            lambda: pin.verify(CODE, Access(), RIGHT), "00 20 00 00", id="verify"
        ),
        pytest.param(
            lambda: pin.change(CODE, Access(), RIGHT, OTHER), "80 5E 01 00", id="change"
        ),
        pytest.param(
            lambda: pin.on_keypad(CODE, Access(), PinOperation.VERIFY, SIX, 1),
            "00 20 00 00",
            id="verify on the keypad",
        ),
        pytest.param(
            lambda: pin.on_keypad(CODE, Access(), PinOperation.MODIFY, SIX, 1),
            "80 5E 01 00",
            id="change on the keypad",
        ),
        pytest.param(
            lambda: pin.count_tries(CODE, Access()), "00 20 00 00", id="count tries"
        ),
    ],
)
def test_each_takes_four_commands_and_none_of_them_twice(made: Made, last: str) -> None:
    card, keypad = engine("lin.social_security"), Keypad()
    keypad.type("123456", "246813", "246813")

    _, sent = present(card, made(), keypad)

    assert sent == [*IDENTIFIED, last]


@pytest.mark.parametrize(
    "made",
    [
        lambda: pin.verify(CODE, Access(), RIGHT),
        lambda: pin.change(CODE, Access(), RIGHT, OTHER),
        lambda: pin.on_keypad(CODE, Access(), PinOperation.VERIFY, SIX, 1),
        lambda: pin.count_tries(CODE, Access()),
    ],
)
def test_nothing_is_presented_to_another_card(made: Made) -> None:
    card = engine("he.social_security")

    with pytest.raises(SwappedCardError):
        present(card, made())

    assert card.counters.verifications == 0
    assert card.counters.commands == len(IDENTIFIED)


def test_a_wrong_pin_tells_how_many_tries_are_left_and_a_right_one_resets_them() -> (
    None
):
    card = engine("lin.social_security")
    heard = [
        present(card, pin.verify(CODE, Access(), each))[0]
        for each in (WRONG, WRONG, RIGHT, WRONG)
    ]

    assert heard == [pin.Wrong(5), pin.Wrong(4), pin.Accepted(), pin.Wrong(5)]
    assert card.counters.verifications == 4


def test_the_sixth_wrong_pin_blocks_the_card() -> None:
    card = engine("lin.social_security")
    heard = [present(card, pin.verify(CODE, Access(), WRONG))[0] for _ in range(6)]

    assert heard[-2:] == [pin.Wrong(1), pin.Blocked()]
    assert present(card, pin.verify(CODE, Access(), RIGHT))[0] == pin.Blocked()
    assert present(card, pin.change(CODE, Access(), RIGHT, OTHER))[0] == pin.Blocked()
    assert present(card, pin.count_tries(CODE, Access()))[0] == pin.Blocked()


def test_a_changed_pin_holds_and_survives_a_reset() -> None:
    card = engine("lin.social_security")

    changed, _ = present(card, pin.change(CODE, Access(), RIGHT, Pin("12345")))
    card.reset()

    assert changed == pin.Accepted()
    assert card.counters.changes == 1
    assert present(card, pin.verify(CODE, Access(), RIGHT))[0] == pin.Wrong(5)
    assert present(card, pin.verify(CODE, Access(), Pin("12345")))[0] == pin.Accepted()


def test_a_change_with_a_wrong_old_pin_costs_a_try_and_changes_nothing() -> None:
    card = engine("lin.social_security")

    heard, _ = present(card, pin.change(CODE, Access(), WRONG, OTHER))

    assert heard == pin.Wrong(5)
    assert (card.counters.verifications, card.counters.changes) == (1, 0)
    assert present(card, pin.verify(CODE, Access(), RIGHT))[0] == pin.Accepted()


def test_counting_tries_spends_none() -> None:
    card = engine("lin.social_security")
    present(card, pin.verify(CODE, Access(), WRONG))

    heard = [present(card, pin.count_tries(CODE, Access()))[0] for _ in range(3)]

    assert heard == [pin.Counter(5)] * 3
    assert card.counters.verifications == 1


@pytest.mark.parametrize("sw", ["9000", "6700", "6D00"])
def test_a_card_that_does_not_tell_its_tries_is_no_obstacle(sw: str) -> None:
    card = ScriptedCard(engine("lin.social_security"), replies={4: bytes.fromhex(sw)})

    heard, sent = play(
        pin.count_tries(CODE, Access()),
        lambda command: ResponseApdu.parse(card.process(bytes(command))),
    )

    assert (heard, sent) == (pin.Counter(None), 4)


def test_a_card_without_a_pin_says_so() -> None:
    card = engine("fang.social_security")
    code = PEOPLE["fang"].social_security.identification_code

    for procedure in (
        pin.verify(code, Access(), RIGHT),
        pin.change(code, Access(), RIGHT, OTHER),
        pin.count_tries(code, Access()),
    ):
        assert present(card, procedure)[0] == pin.NotSet()


def test_what_is_typed_on_the_keypad_is_what_the_card_compares() -> None:
    card, keypad = engine("lin.social_security"), Keypad()
    keypad.type("123456", "24681", "24681")
    both = Digits(minimum=5, maximum=6)

    changed, _ = present(
        card, pin.on_keypad(CODE, Access(), PinOperation.MODIFY, both, 1), keypad
    )

    assert changed == pin.Accepted()
    assert present(card, pin.verify(CODE, Access(), Pin("24681")))[0] == pin.Accepted()


@pytest.mark.parametrize(
    ("sw", "answer"),
    [
        ("9000", pin.Accepted()),
        ("6110", pin.Accepted()),
        ("63C3", pin.Wrong(3)),
        ("6300", pin.Wrong(None)),
        ("63C0", pin.Blocked()),
        ("6983", pin.Blocked()),
        ("6984", pin.Blocked()),
        ("6A88", pin.NotSet()),
        ("6581", pin.Unanswered()),
        ("6D00", pin.Refused(StatusWord(0x6D00))),
        ("6C03", pin.Refused(StatusWord(0x6C03))),
        ("9303", pin.Refused(StatusWord(0x9303))),
    ],
)
def test_every_status_has_its_meaning(sw: str, answer: pin.Answer) -> None:
    assert pin.said(StatusWord(int(sw, 16))) == answer


@pytest.mark.parametrize(
    ("failure", "answer"),
    [
        (PinCancelledError(), pin.NotTyped("pin.cancelled")),
        (PinMismatchError(), pin.NotTyped("pin.confirmation_mismatch")),
        (NoKeypadError(), pin.NotTyped("reader.no_keypad")),
        (CardRemovedError(), pin.Unanswered()),
    ],
)
def test_a_lost_answer_is_unknown_and_nothing_typed_is_nothing_asked(
    failure: Exception, answer: pin.Answer
) -> None:
    card = engine("lin.social_security")
    procedure = pin.verify(CODE, Access(), RIGHT)

    def fails(_: Errand) -> Any:  # noqa: ANN401 - it never returns
        raise failure

    heard, sent = play(
        procedure,
        lambda command: ResponseApdu.parse(card.process(bytes(command))),
        fails,
    )

    assert heard == answer
    assert sent == len(IDENTIFIED)


@pytest.mark.parametrize("failure", [CardResetError(), ReaderTimeoutError()])
def test_what_was_presented_is_not_presented_again_to_a_card_that_would_answer(
    failure: Exception,
) -> None:
    card = engine("lin.social_security")
    answer, run, _ = card_and_reader(card)
    presented: list[Errand] = []

    def once(errand: Errand) -> ResponseApdu:
        presented.append(errand)
        if len(presented) == 1:
            raise failure
        return run(errand)

    heard, _ = play(pin.verify(CODE, Access(), RIGHT), answer, once)

    assert heard == pin.Unanswered()
    assert len(presented) == 1


def bad_changes() -> Iterator[bytes]:
    right = bytes.fromhex("123456")
    yield right
    yield right + b"\xff"
    yield right + b"\xff" + b"\x12"
    yield right + b"\xff" + bytes(7)
    yield right + b"\xff" + bytes(2) + b"\xff" + bytes(2)


@pytest.mark.parametrize("data", list(bad_changes()))
def test_the_card_takes_no_new_pin_of_another_form(data: bytes) -> None:
    card = engine("lin.social_security")

    answer = card.process(bytes.fromhex("805E0100") + bytes([len(data)]) + data)

    assert answer == bytes.fromhex("6700")
    assert card.counters.verifications == 0


PRESENTED = [
    pytest.param(lambda spare: pin.verify(CODE, Access(), RIGHT, spare), id="verify"),
    pytest.param(
        lambda spare: pin.change(CODE, Access(), RIGHT, OTHER, spare), id="change"
    ),
    pytest.param(
        lambda spare: pin.on_keypad(CODE, Access(), PinOperation.VERIFY, SIX, 1, spare),
        id="keypad",
    ),
]


@pytest.mark.parametrize("made", PRESENTED)
@pytest.mark.parametrize(
    ("spare", "heard"),
    [
        (None, pin.Accepted()),
        (0, pin.Accepted()),
        (1, pin.Accepted()),
        (2, pin.Counter(2)),
        (3, pin.Counter(2)),
    ],
)
def test_a_card_with_no_try_to_spare_is_not_given_the_pin(
    made: Callable[[int | None], Procedure[pin.Answer]],
    spare: int | None,
    heard: pin.Answer,
) -> None:
    card, keypad = engine("lin.social_security"), Keypad()
    keypad.type(RIGHT.digits)
    for _ in range(4):
        present(card, pin.verify(CODE, Access(), WRONG))

    answer, _ = present(card, made(spare), keypad)

    assert answer == heard
    assert card.counters.verifications == 4 + (heard == pin.Accepted())


@pytest.mark.parametrize("made", PRESENTED)
@pytest.mark.parametrize(
    ("says", "heard"),
    [("6983", pin.Blocked()), ("6A88", pin.NotSet()), ("63C0", pin.Blocked())],
)
def test_a_card_that_can_take_no_pin_is_not_given_one(
    made: Callable[[int | None], Procedure[pin.Answer]], says: str, heard: pin.Answer
) -> None:
    card = ScriptedCard(engine("lin.social_security"), replies={4: bytes.fromhex(says)})
    errands: list[Errand] = []

    answer, sent = play(
        made(0),
        lambda command: ResponseApdu.parse(card.process(bytes(command))),
        errands.append,
    )

    assert (answer, sent, errands) == (heard, 4, [])


@pytest.mark.parametrize("made", PRESENTED[:2])
def test_a_card_that_does_not_tell_its_tries_is_given_the_pin(
    made: Callable[[int | None], Procedure[pin.Answer]],
) -> None:
    inner = engine("lin.social_security")
    card = ScriptedCard(inner, replies={4: bytes.fromhex("6D00")})

    answer, _ = play(
        made(1),
        lambda command: ResponseApdu.parse(card.process(bytes(command))),
        card_and_reader(inner)[1],
    )

    assert answer == pin.Accepted()


@pytest.mark.parametrize(
    ("operation", "command", "places"),
    [
        (PinOperation.VERIFY, "00 20 00 00 03 FF FF FF", (0,)),
        (PinOperation.MODIFY, "80 5E 01 00 07 FF FF FF FF FF FF FF", (0, 4)),
    ],
)
def test_a_keypad_is_told_where_the_digits_go_and_how_many(
    operation: PinOperation, command: str, places: tuple[int, ...]
) -> None:
    card = engine("lin.social_security")
    asked: list[Errand] = []

    def typed(errand: Errand) -> ResponseApdu:
        asked.append(errand)
        return ResponseApdu(data=b"", sw=StatusWord(0x9000))

    five_or_six = Digits(minimum=5, maximum=6)
    play(
        pin.on_keypad(CODE, Access(), operation, five_or_six, 40),
        lambda sent: ResponseApdu.parse(card.process(bytes(sent))),
        typed,
    )

    [errand] = asked
    assert isinstance(errand, KeypadEntry)
    assert bytes(errand.entry.command) == bytes.fromhex(command)
    assert errand.entry == PinEntry(
        command=errand.entry.command,
        places=places,
        length=3,
        digits_min=5,
        digits_max=6,
        seconds=40,
    )
