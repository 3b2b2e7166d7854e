"""CCID messages on a serial line: whatever pieces the bytes come in, whatever comes between."""

from __future__ import annotations

import time
from functools import reduce
from operator import xor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.serial_line.ccid import (
    BUFFER_MAX,
    DATA_MAX,
    NAK_FRAME,
    Ear,
    Heard,
    Icc,
    Kind,
    Message,
    MoreTime,
    Moved,
    Nak,
    Noise,
    Outcome,
    frame,
)

ATR = bytes.fromhex("3B6D000000814E43238699000002000001")
# As a GemPC Twin is seen to speak (performance, 3.2): the answer to IccPowerOn, and
# GetSlotStatus for a slot without a card.
DATA_BLOCK = Message(Kind.DATA_BLOCK, 7, bytes(3), ATR)
POWER_ON = Message(Kind.ICC_POWER_ON, 7, b"\x01\0\0")

messages = st.builds(
    Message,
    kind=st.sampled_from(list(Kind)),
    sequence=st.integers(0, 255),
    specific=st.binary(min_size=3, max_size=3),
    data=st.binary(max_size=DATA_MAX),
)
between = st.sampled_from(
    [
        (b"\x50\x02", Moved(inserted=False)),
        (b"\x50\x03", Moved(inserted=True)),
        (NAK_FRAME, Nak()),
        (b"\x80", MoreTime()),
        (b"\xff", MoreTime()),
        (b"\x00", Noise()),
    ]
)


def heard_in(pieces: list[bytes]) -> list[Heard]:
    ear = Ear()
    return [each for piece in pieces for each in ear.hear(piece)]


def test_a_frame_is_what_the_real_driver_sends() -> None:
    assert frame(POWER_ON).hex(" ") == "03 06 62 00 00 00 00 00 07 01 00 00 61"
    assert frame(Message(Kind.ESCAPE, 0, data=b"\x02")).hex() == (
        "03066b01000000000000000002" + "6d"
    )


def test_an_answer_says_how_it_went() -> None:
    failed = Message(Kind.DATA_BLOCK, 7, b"\x42\xfe\x00")

    assert (failed.icc, failed.outcome) == (Icc.ABSENT, Outcome.FAILED)
    assert failed.failure == 0xFE
    assert failed.answers(POWER_ON)
    assert not Message(Kind.DATA_BLOCK, 8).answers(POWER_ON)
    assert not Message(Kind.SLOT_STATUS, 7).answers(POWER_ON)
    assert "3B" not in repr(DATA_BLOCK)


@given(st.lists(st.one_of(messages.map(lambda m: (frame(m), m)), between)), st.data())
def test_pieces_make_no_difference(
    said: list[tuple[bytes, Heard]], data: st.DataObject
) -> None:
    raw = b"".join(each for each, _ in said)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]

    assert heard_in(pieces) == [heard for _, heard in said]


@given(st.integers(1, 10 + 17 + 2), st.booleans())
def test_a_card_may_move_in_the_middle_of_a_frame(at: int, inserted: bool) -> None:
    raw = frame(DATA_BLOCK)
    moved = b"\x50\x03" if inserted else b"\x50\x02"

    heard = heard_in([raw[:at] + moved + raw[at:]])

    assert heard == [Moved(inserted=inserted), DATA_BLOCK]


@given(messages, st.integers(2, 12), st.integers(1, 255))
def test_a_spoilt_frame_is_never_a_message(
    message: Message, at: int, spoilt: int
) -> None:
    raw = bytearray(frame(message))
    raw[at] ^= spoilt

    assert message not in heard_in([bytes(raw)])


def test_what_follows_a_spoilt_frame_is_understood() -> None:
    spoilt = frame(DATA_BLOCK)[:-1] + b"\x00"
    ear = Ear()

    heard = ear.hear(spoilt + frame(POWER_ON))
    while ear.in_the_middle:
        heard += ear.give_up()

    assert Noise() in heard
    assert heard[-1] == POWER_ON


def test_a_frame_that_stops_in_the_middle_is_given_up() -> None:
    ear = Ear()

    assert ear.hear(frame(DATA_BLOCK)[:-4]) == []
    assert ear.in_the_middle
    heard = ear.give_up()

    assert heard[0] == Noise()


@pytest.mark.parametrize("length", [DATA_MAX + 1, 0xFFFF, 0xFFFFFFFF])
def test_a_length_no_reader_sends_is_not_waited_for(length: int) -> None:
    head = b"\x03\x06\x80" + length.to_bytes(4, "little") + bytes(5)

    assert heard_in([head, frame(POWER_ON)])[-1] == POWER_ON


@given(st.binary(max_size=3 * BUFFER_MAX))
def test_any_bytes_are_heard_within_bounds(raw: bytes) -> None:
    ear = Ear()

    ear.hear(raw)

    assert len(ear._held) < BUFFER_MAX


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"\x03\x06\x50\x02" * 1024, id="movements in frames"),
        pytest.param(b"\x03\x50\x02" * 1365, id="movements behind SYNC"),
        pytest.param(b"\x03" * 4096, id="SYNC for ever"),
        pytest.param(
            (b"\x03\x06\x80\x05\x01\0\0" + b"\x50\x03" * 140) * 14, id="long lengths"
        ),
    ],
)
def test_the_worst_that_can_come_costs_little(raw: bytes) -> None:
    costs = []
    for _ in range(3):
        ear = Ear()
        began = time.process_time()
        ear.hear(raw)
        costs.append(time.process_time() - began)

    assert min(costs) < 0.05  # of our own time: what else runs is not asked about


@given(messages)
def test_the_lrc_makes_every_frame_zero(message: Message) -> None:
    assert reduce(xor, frame(message)) == 0
