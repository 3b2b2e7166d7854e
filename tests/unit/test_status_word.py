"""Status words and their names (domain facts, 3.4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.iso7816.status_word import StatusWord


@pytest.mark.parametrize(
    ("value", "name", "tries"),
    [
        (0x9000, "success", None),
        (0x63C2, "2 tries left", 2),
        (0x63C0, "0 tries left", 0),
        (0x6300, "authentication failed", None),
        (0x6983, "authentication blocked", None),
        (0x6A83, "record not found", None),
        (0x9303, "application locked for good", None),
        (0x610A, "more data to fetch", None),
        (0x6C14, "wrong Le, right one in SW2", None),
        (0x1234, "unknown status", None),
    ],
)
def test_a_status_word_says_what_it_means(
    value: int, name: str, tries: int | None
) -> None:
    sw = StatusWord(value)

    assert sw.name == name
    assert sw.tries_left == tries
    assert sw.is_success == (value == 0x9000)


@given(st.integers(0, 0xFFFF))
def test_a_status_word_is_its_two_bytes(value: int) -> None:
    sw = StatusWord(value)

    assert StatusWord.of(sw.sw1, sw.sw2) == sw
    assert bytes(sw) == bytes((sw.sw1, sw.sw2))
    assert str(sw).startswith(f"{value:04X} ")


@pytest.mark.parametrize("value", [-1, 0x10000])
def test_more_than_two_bytes_are_no_status_word(value: int) -> None:
    with pytest.raises(ValueError, match="two bytes"):
        StatusWord(value)
