"""Masks, keyed hashes and seals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin import privacy
from plugin.privacy import Keys, SealBrokenError


def test_sm3_agrees_with_the_standards_vector() -> None:
    assert privacy.sm3(b"abc") == (
        "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    )


@pytest.mark.parametrize(
    ("name", "masked"),
    [
        ("张三", "张*"),
        ("欧阳修远", "欧阳**"),
        ("欧阳", "欧*"),
        ("买买提", "买**"),
        ("", None),
        (None, None),
    ],
)
def test_of_a_name_the_surname_is_shown(name: str | None, masked: str | None) -> None:
    assert privacy.masked_name(name) == masked


def test_of_an_identity_number_both_ends_are_shown() -> None:
    assert privacy.masked_number("11010519491231002X") == "110105********002X"
    assert privacy.masked_number("X00000019") == "*****0019"
    assert privacy.masked_number(None) is None


def test_of_a_card_number_the_last_four_are_shown() -> None:
    assert privacy.masked_tail("X00000019") == "*****0019"
    assert privacy.masked_tail("123") == "****"
    assert privacy.masked_tail(None) is None


def test_of_a_birthday_the_year_is_shown() -> None:
    assert privacy.masked_day("1949-12-31") == "1949-**-**"
    assert privacy.masked_day(None) is None


def test_somebody_elses_sentence_loses_numbers_and_names() -> None:
    text = privacy.scrubbed(
        "林试一（999901190102021017，旧号110105491231002）的卡X00000019已挂失",
        ["林试一", "X00000019", None, ""],
    )

    assert text == ("***（999901********1017，旧号110105*****1002）的卡*********已挂失")


@pytest.mark.parametrize("text", ["20260115", "R00000001", "a" * 64, "1" * 20])
def test_what_is_no_identity_number_is_left_alone(text: str) -> None:
    assert privacy.scrubbed(text) == text


@given(st.binary(max_size=200), st.binary(max_size=20))
def test_a_seal_opens_with_its_own_key_and_context(
    clear: bytes, context: bytes
) -> None:
    keys = Keys.new()

    sealed = keys.seal(clear, context)

    assert keys.open(sealed, context) == clear
    if len(clear) > 4:
        assert clear not in sealed


@given(st.binary(max_size=40), st.data())
def test_a_seal_that_was_touched_does_not_open(
    clear: bytes, data: st.DataObject
) -> None:
    keys = Keys.new()
    sealed = bytearray(keys.seal(clear, b"row"))
    place = data.draw(st.integers(0, len(sealed) * 8 - 1))

    sealed[place // 8] ^= 1 << place % 8

    with pytest.raises(SealBrokenError):
        keys.open(bytes(sealed), b"row")


def test_a_seal_opens_neither_elsewhere_nor_with_another_key() -> None:
    keys = Keys.new()
    sealed = keys.seal(b"clear", b"row 1")

    for other, context in ((keys, b"row 2"), (Keys.new(), b"row 1")):
        with pytest.raises(SealBrokenError):
            other.open(sealed, context)
    with pytest.raises(SealBrokenError):
        keys.open(b"short", b"row 1")


def test_a_digest_is_the_same_under_one_key_and_label_only() -> None:
    keys = Keys(bytes(32))

    digest = keys.digest("card", "999901")

    assert digest == Keys(bytes(32)).digest("card", "999901")
    assert digest != keys.digest("request", "999901")
    assert digest != Keys.new().digest("card", "999901")


def test_a_key_prints_nothing_and_has_one_length() -> None:
    assert repr(Keys(bytes(32))) == "Keys()"
    with pytest.raises(ValueError, match="32 bytes"):
        Keys(b"short")
