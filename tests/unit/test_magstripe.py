"""What track readers send, and what of it is believed (ISO 7811-2, ISO 7813)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.serial_line.magstripe import BUFFER_MAX, Lrc, Swipe, lrc_of, swiped
from simulator.card.stripe import StripeOrder

TRACK_1, TRACK_2, TRACK_3 = "B9999010000000016^LIN", "9999010000000016=2905", "01999=1"
ENDS = ("", "\r", "\n", "\r\n")
alpha = st.text(
    st.sampled_from([chr(c) for c in range(0x20, 0x60) if chr(c) not in "%?"]),
    max_size=76,
)
digits = st.text(st.sampled_from("0123456789:<=>"), max_size=37)


def sent(first: str, second: str, third: str, end: str, *, lrc: bool) -> bytes:
    """Three tracks, each as a reader sends it."""
    tracks = (f"%{first}?", f";{second}?", f";{third}?")
    return "".join(
        each + (lrc_of(each) if lrc else "") + end for each in tracks
    ).encode()


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("lrc", [True, False])
def test_three_tracks_with_any_framing(end: str, lrc: bool) -> None:
    found = swiped(sent(TRACK_1, TRACK_2, TRACK_3, end, lrc=lrc))

    assert found == Swipe({1: TRACK_1, 2: TRACK_2, 3: TRACK_3})


@given(alpha, digits, digits, st.sampled_from(ENDS), st.booleans())
def test_whatever_stands_between_the_sentinels(
    first: str, second: str, third: str, end: str, lrc: bool
) -> None:
    how = Lrc.ALWAYS if lrc else Lrc.NEVER

    found = swiped(sent(first, second, third, end, lrc=lrc), how)

    assert found == Swipe({1: first, 2: second, 3: third})


@pytest.mark.parametrize(
    ("raw", "tracks"),
    [
        pytest.param(b";123=4?\r", {2: "123=4"}, id="the second alone"),
        pytest.param(b";1?;2?", {2: "1", 3: "2"}, id="two of digits"),
        pytest.param(b"+2?", {3: "2"}, id="a third with its own sentinel"),
        pytest.param(b"%A^B?;1?", {1: "A^B", 2: "1"}, id="no third"),
        pytest.param(b"\r\n;1?\r\n", {2: "1"}, id="line ends around"),
        pytest.param(b"\0;1?\0", {2: "1"}, id="filled"),
    ],
)
def test_what_some_readers_send(raw: bytes, tracks: dict[int, str]) -> None:
    assert swiped(raw) == Swipe(tracks)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\r\n", id="an empty line"),
        pytest.param(b";12", id="cut off"),
        pytest.param(b"12?", id="begun too late"),
        pytest.param(b";12x4?", id="a letter among digits"),
        pytest.param(b";E?", id="what readers send for a track they cannot read"),
        pytest.param(b";1?;2?;3?", id="more tracks than there are"),
        pytest.param(b";1?%A?", id="tracks in another order"),
        pytest.param(b";" + b"1" * 39 + b"?", id="longer than a second track"),
        pytest.param(b"%" + b"A" * 78 + b"?", id="longer than a first track"),
        pytest.param(b";12?1", id="a wrong LRC"),
        pytest.param(b"\xff\xfe;12?", id="noise in front"),
        pytest.param(b";1?" + b"\r" * BUFFER_MAX, id="endless"),
    ],
)
def test_what_is_not_believed(raw: bytes) -> None:
    assert swiped(raw) == Swipe({}, whole=False)


def test_a_reader_that_always_sends_an_lrc_must_send_it() -> None:
    assert not swiped(b";12?", Lrc.ALWAYS).whole
    assert swiped(f";12?{lrc_of(';12?')}".encode(), Lrc.ALWAYS).whole
    assert not swiped(f";12?{lrc_of(';12?')}".encode(), Lrc.NEVER).whole


@given(st.binary(max_size=300))
def test_anything_may_come(raw: bytes) -> None:
    found = swiped(raw)

    assert found.whole or not found.tracks
    assert all(each.isascii() and each.isprintable() for each in found.tracks.values())


def test_the_simulated_stripe_is_written_by_its_own_rule() -> None:
    order = StripeOrder(number="1", tracks={1: TRACK_1, 2: TRACK_2, 3: TRACK_3})

    assert order.engine().sent == sent(TRACK_1, TRACK_2, TRACK_3, "", lrc=True) + b"\r"


def test_it_prints_nothing_of_the_card() -> None:
    assert "9999" not in repr(swiped(b";9999?"))
