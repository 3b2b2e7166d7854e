"""A reader of magnetic stripes on a serial line: a pass can be read once, and only a fresh one.

It has no slot: nothing can be pulled, reset, typed or left behind, and the driver says so.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from drivers.conversation import converse
from drivers.errors import NoCardError, NoKeypadError, PortGoneError, SwipeError
from drivers.iso7816.apdu import CommandApdu
from drivers.ports import Disposition, SlotState
from drivers.serial_line import track_reader
from drivers.serial_line.directory import SerialDirectory
from plugin.card.medical import MedicalCard
from plugin.card.reading import read_card
from simulator.people import STRIPE_NUMBER, card, engine
from simulator.serial_peer import READER_NAMES, TRACK_NAME, SerialDesk
from tests.contract.readers import KINDS, LAYOUTS, Bench, watched
from tests.contract.test_readers import PIN

TRACK = STRIPE_NUMBER.encode()


@pytest.fixture
def desk() -> Iterator[SerialDesk]:
    made = SerialDesk()
    yield made
    made.close()


@pytest.fixture
def bench(desk: SerialDesk) -> Iterator[Bench]:
    with watched(Bench(SerialDirectory(desk.ports), desk, KINDS["serial"])) as found:
        found.wait_for(lambda state: len(state.readers) == len(desk.ports))
        yield found


def number(bench: Bench) -> str | None:
    """What the last pass says."""
    found = bench.read(TRACK_NAME)
    assert isinstance(found, MedicalCard)
    return found.number


def test_a_card_passes_is_noticed_and_read(desk: SerialDesk, bench: Bench) -> None:
    desk.insert("song.medical", TRACK_NAME)

    status = bench.wait_for_slot(TRACK_NAME, "swiped")

    assert status.atr == track_reader.ATR
    assert number(bench) == STRIPE_NUMBER
    bench.wait_for_slot(TRACK_NAME, "empty")


def test_a_pass_is_read_once(desk: SerialDesk, bench: Bench) -> None:
    desk.insert("song.medical", TRACK_NAME)
    bench.wait_for_slot(TRACK_NAME, "swiped")
    number(bench)

    with pytest.raises(NoCardError):
        bench.directory.reader(TRACK_NAME).connect()


def test_a_pass_nobody_reads_is_not_the_next_persons(
    desk: SerialDesk, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(track_reader, "HELD_SECONDS", 0.3)
    desk.insert("song.medical", TRACK_NAME)
    bench.wait_for_slot(TRACK_NAME, "swiped")

    bench.wait_for_slot(TRACK_NAME, "empty")

    with pytest.raises(NoCardError):
        bench.directory.reader(TRACK_NAME).connect()


def test_every_pass_is_a_stay_of_its_own(desk: SerialDesk, bench: Bench) -> None:
    stays = []
    for _ in range(2):
        desk.insert("song.medical", TRACK_NAME)
        stays.append(bench.wait_for_slot(TRACK_NAME, "swiped").stay)
        number(bench)
        bench.wait_for_slot(TRACK_NAME, "empty")

    assert len(set(stays)) == 2


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param((b";" + TRACK[:7], TRACK[7:] + b"=1?\r"), id="in two"),
        pytest.param((b";" + TRACK + b"=1?", b"\r", b"\n"), id="line end apart"),
        pytest.param(
            tuple(bytes((each,)) for each in b";" + TRACK + b"=?\n"), id="each"
        ),
    ],
)
def test_a_pass_comes_in_pieces(
    desk: SerialDesk, bench: Bench, pieces: tuple[bytes, ...]
) -> None:
    desk.tracks.swipe(*pieces, seconds_between=0.01)
    bench.wait_for_slot(TRACK_NAME, "swiped")

    assert number(bench) == STRIPE_NUMBER


@pytest.mark.parametrize(
    "noise", [b"\x00\xff\x55", b";12", b";E?\r", b"%E?;E?+E?\r", b"\r\n"]
)
def test_a_pass_that_was_not_read_well_is_said_and_the_next_one_counts(
    desk: SerialDesk, bench: Bench, noise: bytes
) -> None:
    desk.tracks.swipe(noise)
    bench.wait_for_slot(TRACK_NAME, "swiped")
    with pytest.raises(SwipeError):
        bench.directory.reader(TRACK_NAME).connect()
    bench.wait_for_slot(TRACK_NAME, "empty")

    desk.insert("song.medical", TRACK_NAME)
    bench.wait_for_slot(TRACK_NAME, "swiped")

    assert number(bench) == STRIPE_NUMBER


def test_two_passes_in_one_breath_are_not_mixed(desk: SerialDesk, bench: Bench) -> None:
    desk.tracks.swipe(b";1111?\r;2222?\r;3333?\r")
    bench.wait_for_slot(TRACK_NAME, "swiped")

    with pytest.raises(SwipeError):
        bench.directory.reader(TRACK_NAME).connect()


def test_chip_readers_beside_it_are_not_disturbed(
    desk: SerialDesk, bench: Bench
) -> None:
    bench.insert(engine("lin.social_security"), READER_NAMES[0])
    read = threading.Thread(target=lambda: bench.read(READER_NAMES[0]))
    read.start()
    desk.insert("song.medical", TRACK_NAME)
    bench.wait_for_slot(TRACK_NAME, "swiped")

    assert number(bench) == STRIPE_NUMBER
    read.join()


def test_what_it_cannot_do_it_refuses(desk: SerialDesk, bench: Bench) -> None:
    with pytest.raises(ValueError, match="no magnetic stripe"):
        desk.insert("lin.medical", TRACK_NAME)
    desk.insert("song.medical", TRACK_NAME)
    bench.wait_for_slot(TRACK_NAME, "swiped")
    connection = bench.directory.reader(TRACK_NAME).connect()

    assert connection.keypad() == frozenset()
    with pytest.raises(NoKeypadError):
        connection.enter_pin(PIN)
    said = [
        connection.transmit(CommandApdu(cla=cla, ins=ins, p1=2, p2=0)).sw.value
        for cla, ins in ((0x00, 0xA4), (0xFF, 0xB0), (0xFF, 0x20))
    ]
    assert said == [0x6E00, 0x6D00, 0x6D00]
    connection.close(Disposition.RESET)
    assert (
        connection.transmit(CommandApdu(cla=0xFF, ins=0xB2, p1=2, p2=0)).sw.value
        == 0x6A83
    )


def test_the_cable_is_pulled_and_put_back(desk: SerialDesk, bench: Bench) -> None:
    desk.insert("song.medical", TRACK_NAME)
    bench.wait_for_slot(TRACK_NAME, "swiped")

    desk.tracks.line.unplug()
    state = bench.wait_for(lambda now: now.trouble is not None)
    assert TRACK_NAME not in [each.name for each in state.readers]
    with pytest.raises(PortGoneError):
        bench.directory.reader(TRACK_NAME).connect()

    desk.tracks.line.plug()
    bench.wait_for_slot(TRACK_NAME, "empty")  # whoever had passed is forgotten
    desk.insert("song.medical", TRACK_NAME)
    assert bench.wait_for_slot(TRACK_NAME, "swiped").slot is SlotState.SWIPED
    assert number(bench) == STRIPE_NUMBER


def test_a_stripe_is_mute_in_a_chip_reader(bench: Bench) -> None:
    bench.hand.insert_card(card("song.medical"), READER_NAMES[1])

    assert bench.wait_for_slot(READER_NAMES[1], "mute").atr == b""


def test_the_tracks_are_read_by_the_same_procedure_as_any_card(
    desk: SerialDesk, bench: Bench
) -> None:
    desk.insert("song.medical", TRACK_NAME)
    bench.wait_for_slot(TRACK_NAME, "swiped")
    connection = bench.directory.reader(TRACK_NAME).connect()
    found = converse(connection, read_card(LAYOUTS, connection.atr))

    assert isinstance(found, MedicalCard)
    assert (found.kind, found.number) == ("stripe", STRIPE_NUMBER)
    assert found.social_security_number is found.name is None
    assert STRIPE_NUMBER not in repr(found)
