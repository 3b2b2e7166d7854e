"""The hand over simulated readers: what it can do depends on what they are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from drivers.ports import Mishap, NotHereError, Planned
from simulator.reader import READER_NAMES, InProcessDesk
from simulator.scenario import (
    CardPulledError,
    CardResetElsewhereError,
    Fate,
    FatedCard,
)
from simulator.serial_peer import READER_NAMES as ON_LINES
from simulator.serial_peer import TRACK_NAME, SerialDesk


@pytest.fixture
def on_lines() -> Iterator[SerialDesk]:
    made = SerialDesk()
    yield made
    made.close()


def happens(fate: Fate, commands: int) -> list[Mishap | None]:
    return [fate.next_command() for _ in range(commands)]


def test_a_mishap_comes_at_its_command_and_once() -> None:
    fate = Fate()
    happens(fate, 2)

    fate.plan(Planned(mishap=Mishap.PULL, at=3))

    assert happens(fate, 5) == [None, None, Mishap.PULL, None, None]


def test_the_last_plan_counts() -> None:
    fate = Fate()

    fate.plan(Planned(mishap=Mishap.PULL, at=2))
    happens(fate, 1)
    fate.plan(Planned(mishap=Mishap.RESET, at=2))

    assert happens(fate, 3) == [None, Mishap.RESET, None]


def test_what_is_forgotten_does_not_happen() -> None:
    fate = Fate()

    fate.plan(Planned(mishap=Mishap.PULL))
    fate.forget()

    assert happens(fate, 2) == [None, None]


@pytest.mark.parametrize(
    ("mishap", "obeyed", "raised"),
    [
        (Mishap.PULL, 0, CardPulledError),
        (Mishap.LOSE_ANSWER, 1, CardPulledError),
        (Mishap.RESET, 0, CardResetElsewhereError),
    ],
)
def test_only_a_lost_answer_was_obeyed(
    mishap: Mishap, obeyed: int, raised: type[Exception]
) -> None:
    fate, card = Fate(), Counting()
    fate.plan(Planned(mishap=mishap))

    with pytest.raises(raised):
        FatedCard(card, fate).process(b"\x00")

    assert card.obeyed == obeyed


def test_nobody_can_reset_a_card_on_a_line_of_ours(on_lines: SerialDesk) -> None:
    for reader in (*ON_LINES, TRACK_NAME):
        with pytest.raises(NotHereError):
            on_lines.plan(reader, Planned(mishap=Mishap.RESET))


def test_what_has_no_plug_and_no_chip_is_not_asked_for_it(on_lines: SerialDesk) -> None:
    for move in (on_lines.detach, on_lines.attach):
        with pytest.raises(NotHereError):
            move(TRACK_NAME)
    with pytest.raises(NotHereError):
        on_lines.insert_wrongly("lin.medical", TRACK_NAME)

    on_lines.detach(ON_LINES[0])
    on_lines.attach(ON_LINES[0])
    on_lines.insert("lin.medical", ON_LINES[0])

    assert on_lines.peers[ON_LINES[0]].occupied


def test_a_hand_knows_which_card_lies_where(on_lines: SerialDesk) -> None:
    chip = ON_LINES[0]

    on_lines.insert("song.medical", TRACK_NAME)  # which only passes
    on_lines.insert_wrongly("lin.medical", chip)

    assert on_lines.slot(TRACK_NAME).card is None
    assert on_lines.slot(chip).card == "lin.medical"
    on_lines.remove(chip)
    assert on_lines.slot(chip).card is None


def test_a_hand_knows_what_can_happen_where(on_lines: SerialDesk) -> None:
    track, chip = on_lines.slot(TRACK_NAME), on_lines.slot(ON_LINES[0])

    assert (track.mishaps, track.has_plug) == (frozenset(), False)
    assert (chip.mishaps, chip.has_plug) == (
        frozenset(Mishap) - {Mishap.RESET},
        True,
    )


@pytest.mark.parametrize("mishap", [Mishap.PULL, Mishap.LOSE_ANSWER])
def test_a_card_that_is_pulled_lies_there_no_longer(mishap: Mishap) -> None:
    fate = Fate()
    fate.enter("lin.medical")

    fate.plan(Planned(mishap=mishap, at=2))
    before = (happens(fate, 1), fate.card, fate.planned)
    after = (happens(fate, 1), fate.card, fate.planned)

    assert before == ([None], "lin.medical", Planned(mishap=mishap, at=2))
    assert after == ([mishap], None, None)


@pytest.mark.parametrize("desk", [InProcessDesk, SerialDesk])
def test_a_reader_that_nobody_has_is_looked_up_in_vain(
    desk: type[InProcessDesk | SerialDesk],
) -> None:
    hand = desk()

    with pytest.raises(LookupError):
        hand.plan("nobody's", Planned(mishap=Mishap.PULL))
    with pytest.raises(LookupError):
        hand.insert("lin.medical", "nobody's")
    with pytest.raises(LookupError):
        hand.insert_wrongly("nobody.medical", hand.readers()[0])

    hand.close()


def test_the_cast_is_the_same_whatever_the_readers(on_lines: SerialDesk) -> None:
    hand = InProcessDesk()

    assert hand.cast() == on_lines.cast()
    for card in hand.cast():
        hand.insert(card.name, READER_NAMES[0])
        hand.remove(READER_NAMES[0])


class Counting:
    """A card that counts what it obeys."""

    atr = b"\x3b\x00"
    obeyed = 0

    def reset(self) -> bytes:
        return self.atr

    def process(self, command: bytes) -> bytes:
        self.obeyed += len(command)
        return b"\x90\x00"
