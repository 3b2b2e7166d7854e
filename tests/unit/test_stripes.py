"""What is made of the tracks of a stripe, by the layouts of a region."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.conversation import converse
from drivers.errors import DriverError
from drivers.iso7816.apdu import CommandApdu, ResponseApdu
from drivers.iso7816.status_word import StatusWord
from drivers.serial_line.magstripe import Swipe
from drivers.serial_line.track_reader import ATR, SwipeConnection
from plugin.card.errors import CardError, UnreadableCardError, UnsupportedCardError
from plugin.card.medical import MedicalCard
from plugin.card.reading import Layouts, read_card
from plugin.card.stripe import CHARACTERS, Columns, StripeLayout, read_stripe
from tests.fuzz.hostile import HostileCard, Parts, parts
from tests.shown import hidden_in
from tests.transcript import play

TRACKS = {
    1: "B9999010000000017^SHI/YI ^2905",
    2: "9999010000000017=29051010000",
    3: "0156=999901190102021017==1",
}
NUMBER = StripeLayout(number=Columns(track=2, length=16))


class Counting(SwipeConnection):
    """A pass, and what was asked of it."""

    def __init__(self, tracks: Mapping[int, str]) -> None:
        super().__init__(Swipe(tracks))
        self.asked: list[int] = []

    def transmit(self, command: CommandApdu) -> ResponseApdu:
        self.asked.append(command.p1)
        return super().transmit(command)


def read(*layouts: StripeLayout, tracks: Mapping[int, str] = TRACKS) -> MedicalCard:
    return converse(SwipeConnection(Swipe(tracks)), read_stripe(layouts))


@pytest.mark.parametrize(
    ("columns", "number"),
    [
        pytest.param(Columns(track=2, length=16), "9999010000000017", id="columns"),
        pytest.param(Columns(track=2), "9999010000000017", id="to the separator"),
        pytest.param(Columns(track=2, offset=6, length=4), "0000", id="in the middle"),
        pytest.param(Columns(track=2, offset=17), "29051010000", id="to the end"),
        pytest.param(Columns(track=1, offset=1), "9999010000000017", id="track 1"),
        pytest.param(Columns(track=3, offset=5), "999901190102021017", id="track 3"),
        pytest.param(Columns(track=2, offset=27), "0", id="the last character"),
    ],
)
def test_where_the_number_lies(columns: Columns, number: str) -> None:
    assert read(StripeLayout(number=columns)).number == number


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param(Columns(track=2, length=17), id="a separator inside"),
        pytest.param(Columns(track=2, offset=20, length=9), id="too short"),
        pytest.param(Columns(track=2, offset=28), id="behind the end"),
        pytest.param(Columns(track=2, offset=16), id="nothing before the separator"),
        pytest.param(Columns(track=1, offset=24, length=1), id="a space"),
    ],
)
def test_a_number_that_is_not_there_is_no_card_of_the_region(columns: Columns) -> None:
    with pytest.raises(UnsupportedCardError):
        read(StripeLayout(number=columns))


def test_a_track_that_is_not_there_is_no_card_of_the_region() -> None:
    with pytest.raises(UnsupportedCardError):
        read(NUMBER, tracks={1: TRACKS[1]})
    with pytest.raises(UnsupportedCardError):
        read()


def test_the_other_fields_lie_on_any_track_and_may_be_missing() -> None:
    whole = StripeLayout(
        number=Columns(track=2),
        social_security_number=Columns(track=3, offset=5, length=18),
        name=Columns(track=1, offset=18),
    )

    found = read(whole)
    less = read(whole, tracks={2: TRACKS[2]})

    assert found == MedicalCard(
        kind="stripe",
        number="9999010000000017",
        social_security_number="999901190102021017",
        name="SHI/YI",
    )
    assert (less.number, less.social_security_number, less.name) == (
        "9999010000000017",
        None,
        None,
    )


def test_the_first_layout_that_fits_is_the_one() -> None:
    first = StripeLayout(number=Columns(track=3, offset=100, length=4))
    third = StripeLayout(number=Columns(track=1, offset=1))

    assert read(first, NUMBER, third).number == "9999010000000017"


def test_each_track_is_asked_for_once_and_only_when_needed() -> None:
    card = Counting(TRACKS)
    layouts = (
        StripeLayout(number=Columns(track=2, length=30)),
        StripeLayout(number=Columns(track=2), name=Columns(track=1, offset=18)),
    )

    converse(card, read_stripe(layouts))

    assert card.asked == [2, 1]


def test_its_answer_to_reset_leads_here() -> None:
    layouts = Layouts(cpu=(), stripe=(NUMBER,))

    card = converse(SwipeConnection(Swipe(TRACKS)), read_card(layouts, ATR))

    assert isinstance(card, MedicalCard)
    assert card.kind == "stripe"
    assert "9999" not in repr(card)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param(b"\x6a\x83", UnsupportedCardError, id="no such track"),
        pytest.param(b"\x90\x00", UnsupportedCardError, id="an empty track"),
        pytest.param(b"\x6d\x00", CardError, id="no tracks at all"),
        pytest.param(b"12\x1b[2J\x90\x00", UnreadableCardError, id="a control"),
        pytest.param(b"\xc1\xd6\x90\x00", UnreadableCardError, id="not ASCII"),
    ],
)
def test_what_a_driver_may_say_instead(answer: bytes, error: type[CardError]) -> None:
    with pytest.raises(error):
        converse(HostileCard(Parts(parts(answer))), read_stripe((NUMBER,)))


columns = st.builds(
    Columns,
    track=st.sampled_from(sorted(CHARACTERS)),
    offset=st.integers(0, 104),
    length=st.none() | st.integers(1, 104),
)
layouts = st.builds(
    StripeLayout,
    number=columns,
    social_security_number=st.none() | columns,
    name=st.none() | columns,
)
texts = st.text(st.characters(codec="ascii"), max_size=104)
answers = st.binary(max_size=230) | texts.map(str.encode)


@given(st.lists(layouts, max_size=3), st.lists(answers, max_size=3))
def test_anything_may_be_answered(known: list[StripeLayout], said: list[bytes]) -> None:
    card = HostileCard(Parts(parts(*(each + b"\x90\x00" for each in said))), ATR)

    with suppress(CardError, DriverError):
        found = converse(card, read_stripe(tuple(known)))
        assert found.number
        assert hidden_in(found) == []

    assert card.sent <= len(CHARACTERS)


def test_a_track_that_is_refused_says_with_which_status() -> None:
    with pytest.raises(CardError) as refused:
        play(
            read_stripe((NUMBER,)),
            lambda _: ResponseApdu.parse(bytes.fromhex("6F00")),
        )

    assert refused.value.sw == StatusWord(0x6F00)
    assert "track 2" in str(refused.value)
