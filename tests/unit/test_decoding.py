"""Values of a card made showable (domain facts, 2.7)."""

from __future__ import annotations

import unicodedata
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin.card import decoding


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"3.00", "3.00"),
        (b"X00000019\0\0", "X00000019"),
        (b"  left and right  ", "left and right"),
        (b"\0\0\0", None),
        (b"\xc9\xe7", None),
        (b"a\x07b", None),
        (None, None),
    ],
)
def test_characters_lose_their_padding_on_both_sides(
    value: bytes | None, text: str | None
) -> None:
    assert decoding.characters(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [("639900", "639900"), ("01", "01"), ("410100813475FFFFFFFF", "410100813475")],
)
def test_packed_digits_lose_their_filling(value: str, text: str) -> None:
    assert decoding.digits(bytes.fromhex(value)) == text


@pytest.mark.parametrize("value", ["FFFF", "12AB", ""])
def test_what_are_no_digits_are_absent(value: str) -> None:
    assert decoding.digits(bytes.fromhex(value)) is None


def test_a_date_is_four_packed_bytes() -> None:
    assert decoding.day(bytes.fromhex("20101001")) == date(2010, 10, 1)
    assert decoding.day(bytes.fromhex("20101301")) is None
    assert decoding.day(None) is None
    assert decoding.day(bytes.fromhex("20101001") + bytes(12)) == date(2010, 10, 1)


@pytest.mark.parametrize(
    "name", ["张三", "㛃试十", "𠮷", "阿卜杜热合曼·买买提", "O'Neil", "䶮"]
)
def test_names_come_back_from_gb18030(name: str) -> None:
    raw = name.encode("gb18030")

    assert decoding.name(raw.ljust(30, b"\0")) == name
    assert decoding.name(raw.ljust(30, b" ")) == name
    assert decoding.name(raw + b" \0 ") == name


@given(st.text(st.characters(categories=("Lo", "Lu", "Ll")), min_size=1, max_size=20))
def test_a_name_may_be_cut_at_any_byte_between_two_records(name: str) -> None:
    wanted = unicodedata.normalize("NFC", name)
    raw = wanted.encode("gb18030")

    for end in range(len(raw) + 1):
        assert decoding.name(raw[:end], raw[end:].ljust(20, b"\0")) == wanted


def test_a_space_at_the_seam_of_a_latin_name_stays() -> None:
    first, rest = "MUHAMMAD ABDURRAHMAN ALHASSAN ", "BIN SALMAN"
    assert len(first) == 30

    spaced = decoding.name(first.encode(), rest.encode().ljust(20, b"\0"))
    padded = decoding.name(
        "阿卜杜".encode("gb18030") + b"  ", "热合曼".encode("gb18030")
    )

    mixed = decoding.name("阿A ".encode("gb18030"), b"BIN")

    assert spaced == first + rest
    assert padded == "阿卜杜热合曼"
    assert mixed == "阿A BIN"


@pytest.mark.parametrize("name", ["张\U00031350", "李\U0002ebf0明", "张\ue863"])
def test_characters_that_are_newer_than_this_python_stay(name: str) -> None:
    assert decoding.name(name.encode("gb18030")) == name


def test_direction_marks_and_controls_never_reach_a_screen() -> None:
    raw = "张\u202e三\u0007\u200b".encode("gb18030")

    assert decoding.name(raw) == "张三"


@pytest.mark.parametrize(
    "nothing",
    [
        pytest.param("\u3164", id="filler"),
        pytest.param("\uffa0", id="half-width filler"),
        pytest.param("\u034f", id="joiner"),
        pytest.param("\ufe0f", id="variation selector"),
        pytest.param("\U000e0100", id="ideographic variation selector"),
        pytest.param("\U000e0080", id="reserved"),
        pytest.param("\ufdd0", id="noncharacter"),
    ],
)
def test_what_is_drawn_as_nothing_is_no_part_of_a_name(nothing: str) -> None:
    assert decoding.name(f"张{nothing}三".encode("gb18030")) == "张三"
    assert decoding.name(nothing.encode("gb18030")) is None


@pytest.mark.parametrize("raw", [b"\xff\xff", b"\x81", b"\xd5\xc5\xc8"])
def test_bytes_that_are_no_text_are_no_name(raw: bytes) -> None:
    assert decoding.name(raw) is None


@given(st.binary(max_size=60))
def test_nothing_on_a_card_can_raise_here(raw: bytes) -> None:
    text = decoding.name(raw)
    decoding.characters(raw)
    decoding.digits(raw)
    decoding.day(raw)

    assert text is None or (
        len(text) <= decoding.MAX_NAME_CHARACTERS and "\n" not in text
    )
