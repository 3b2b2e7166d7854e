"""Old cards that are memory only: read where the region says, and never shown a PSC."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.conversation import converse
from drivers.iso7816.apdu import ResponseApdu
from drivers.iso7816.atr import Atr
from drivers.iso7816.status_word import StatusWord
from plugin.card.errors import (
    CardError,
    ReaderCannotError,
    UnreadableCardError,
    UnsupportedCardError,
)
from plugin.card.medical import MedicalCard
from plugin.card.memory import (
    Chip,
    Encoding,
    MemoryLayout,
    Place,
    chip_of,
    read_memory_card,
)
from plugin.card.reading import Layouts, read_card
from simulator.card import memory_card
from simulator.card.memory_card import MemoryEngine
from simulator.people import CARDS, MEMORY_NUMBER, PEOPLE, card, engine
from simulator.reader import InProcessDesk
from tests.transcript import play
from tests.unit.worlds import PROFILE

LAYOUTS = PROFILE.cards.memory


def read(
    order: memory_card.MemoryCard, layouts: tuple[MemoryLayout, ...] = LAYOUTS
) -> tuple[MedicalCard, MemoryEngine, int]:
    old = order.engine()
    found, sent = play(
        read_card(Layouts(memory=layouts), old.atr),
        lambda command: ResponseApdu.parse(old.process(bytes(command))),
    )
    assert isinstance(found, MedicalCard)
    return found, old, sent


def order_of(person: str) -> memory_card.MemoryCard:
    order = PEOPLE[person].without_processor
    assert isinstance(order, memory_card.MemoryCard)
    return order


def test_a_4442_says_its_number_and_nothing_else() -> None:
    found, old, sent = read(order_of("zhu"))

    assert found.kind == "sle4442"
    assert found.number == PEOPLE["zhu"].medical.card_number
    assert found.social_security_number is found.name is None
    assert sent == 2
    assert old.presentations == 0


def test_a_4428_says_all_that_the_region_knows_of() -> None:
    found, old, sent = read(order_of("shen"))
    holder = PEOPLE["shen"].holder

    assert found.number == MEMORY_NUMBER
    assert found.social_security_number == holder.social_security_number
    assert found.name == holder.name
    assert sent == 4
    assert old.presentations == 0


def test_a_field_beyond_the_first_page_is_addressed_with_two_bytes() -> None:
    layout = MemoryLayout(
        chip=Chip.SLE4428, number=Place(offset=700, length=8, encoding=Encoding.ASCII)
    )
    order = memory_card.MemoryCard(
        chip=memory_card.Chip.SLE4428, number="", written={700: b"OLD00001"}
    )

    assert read(order, (layout,))[0].number == "OLD00001"


def test_a_chip_without_a_layout_cannot_be_used() -> None:
    with pytest.raises(UnsupportedCardError):
        read(order_of("zhu"), ())


def test_memory_that_was_never_written_has_no_number() -> None:
    blank = memory_card.MemoryCard(chip=memory_card.Chip.SLE4442, number="")

    with pytest.raises(UnreadableCardError):
        read(blank)


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        (["6D00"], ReaderCannotError),
        (["6E00"], ReaderCannotError),
        (["6300"], ReaderCannotError),
        (["9000", "6A81"], ReaderCannotError),
        (["9000", "6B00"], UnreadableCardError),
        (["9000", "3132339000"], UnreadableCardError),
    ],
)
def test_what_a_reader_cannot_do_is_not_the_cards_fault(
    answers: list[str], error: type[CardError]
) -> None:
    said = iter(answers)
    atr = order_of("zhu").engine().atr

    with pytest.raises(error):
        play(
            read_card(PROFILE.cards, atr),
            lambda _: ResponseApdu.parse(bytes.fromhex(next(said))),
        )


def test_a_card_with_a_processor_is_never_taken_for_memory() -> None:
    for name in CARDS:
        assert chip_of(Atr.parse(engine(name).atr).historical_bytes) is None


@given(st.binary(min_size=1, max_size=1024), st.sampled_from(list(memory_card.Chip)))
def test_whatever_lies_in_the_memory_is_read_or_refused_by_name(
    content: bytes, chip: memory_card.Chip
) -> None:
    room = chip.value[2] - 4
    order = memory_card.MemoryCard(chip=chip, number="", written={4: content[:room]})

    try:
        found, old, _ = read(order)
    except CardError:
        return
    assert found.number
    assert found.number.isprintable()
    assert old.presentations == 0


def test_a_reader_shows_a_memory_card_like_any_other() -> None:
    desk = InProcessDesk()
    name = desk.readers()[0]
    desk.insert_card(card("zhu.medical"), name)
    connection = desk.reader(name).connect()

    found = converse(connection, read_card(PROFILE.cards, connection.atr))

    assert isinstance(found, MedicalCard)
    assert found.number == PEOPLE["zhu"].medical.card_number


@pytest.mark.parametrize("answers", [("6A81",), ("9000", "6A81")])
def test_a_reader_that_cannot_says_with_which_status(answers: tuple[str, ...]) -> None:
    replies = iter(answers)

    with pytest.raises(ReaderCannotError) as refused:
        play(
            read_memory_card(Chip.SLE4442, LAYOUTS),
            lambda _: ResponseApdu.parse(bytes.fromhex(next(replies))),
        )

    assert refused.value.sw == StatusWord(0x6A81)
    assert "6A81" in str(refused.value)


@pytest.mark.parametrize(
    ("encoding", "raw", "text"),
    [
        (Encoding.ASCII, b"12" + b"\xff" * 2, "12"),
        (Encoding.ASCII, b" 12" + b"\xff", "12"),
        (Encoding.ASCII, b"12X" + b"\xff", "12X"),
        (Encoding.ASCII, b"XX" + b"\xff", "XX"),
        (Encoding.ASCII, b"\xff12\xff", None),
        (Encoding.ASCII, b"\xff" * 4, None),
        (Encoding.GBK, "林".encode("gbk") + b"\xff" * 2, "林"),
        (Encoding.GBK, b"    ", None),
        (Encoding.GBK, b"FELIX" + b"\xff", "FELIX"),
    ],
)
def test_only_the_end_of_a_place_was_never_written(
    encoding: Encoding, raw: bytes, text: str | None
) -> None:
    layout = MemoryLayout(
        chip=Chip.SLE4442,
        number=Place(offset=0, length=2, encoding=Encoding.BCD),
        name=Place(offset=32, length=len(raw), encoding=encoding),
    )
    replies = iter([b"", bytes.fromhex("1234"), raw])

    found, _ = play(
        read_memory_card(Chip.SLE4442, (layout,)),
        lambda _: ResponseApdu.parse(next(replies) + bytes.fromhex("9000")),
    )

    assert (found.number, found.name) == ("1234", text)
