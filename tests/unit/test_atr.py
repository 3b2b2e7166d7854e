"""Answers to reset, whole and damaged (ISO 7816-3, 8.2; domain facts, 2.9)."""

from __future__ import annotations

from functools import reduce
from operator import xor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.iso7816.atr import Atr, AtrError

RESIDENT = "3B 6D 00 00 00 81 4E 43 23 86 97 15 99 00 BF 7C 7A"


@st.composite
def answers_to_reset(draw: st.DrawFn) -> bytes:
    """Any that the standard allows, with its check byte."""
    historical = draw(st.binary(max_size=15))
    protocols = draw(st.lists(st.sampled_from([0, 1, 15]), max_size=2))
    indicators = [draw(st.integers(0, 7)) << 4 for _ in range(len(protocols) + 1)]
    body = bytearray()
    for number, indicator in enumerate(indicators):
        more = number < len(protocols)
        first = indicator | (0x80 if more else 0)
        low = len(historical) if number == 0 else protocols[number - 1]
        body.append(first | low)
        count = indicator.bit_count()
        body += draw(st.binary(min_size=count, max_size=count))
    body += historical
    if any(protocols):
        body.append(reduce(xor, body))
    return bytes([draw(st.sampled_from([0x3B, 0x3F])), *body])


def test_a_resident_card_offers_t0_and_thirteen_historical_bytes() -> None:
    atr = Atr.parse(bytes.fromhex(RESIDENT))

    assert atr.historical_bytes.hex().upper() == "00814E43238697159900BF7C7A"
    assert atr.protocols == (0,)
    assert atr.interface.get("TA1") is None


@pytest.mark.parametrize(
    ("printed", "protocols", "ta1"),
    [
        pytest.param("3B 00", (0,), None, id="shortest"),
        pytest.param("3B 10 95", (0,), 0x95, id="TA1"),
        pytest.param("3B 80 01 81", (1,), None, id="T=1 with TCK"),
        pytest.param("3B 80 80 01 01", (0, 1), None, id="T=0 and T=1"),
        pytest.param("3B 80 8F 01 0E", (1,), None, id="T=15 is no protocol"),
    ],
)
def test_protocols_and_speed_are_found(
    printed: str, protocols: tuple[int, ...], ta1: int | None
) -> None:
    raw = bytes.fromhex(printed)

    atr = Atr.parse(raw)

    assert atr.protocols == protocols
    assert atr.interface.get("TA1") == ta1


@given(answers_to_reset())
def test_whatever_the_standard_allows_is_taken_apart(raw: bytes) -> None:
    atr = Atr.parse(raw)

    assert atr.raw == raw
    assert len(atr.historical_bytes) == raw[1] & 0x0F
    assert atr.historical_bytes in raw


@given(answers_to_reset())
def test_an_answer_to_reset_cut_off_anywhere_is_refused(raw: bytes) -> None:
    for end in range(len(raw)):
        with pytest.raises(AtrError):
            Atr.parse(raw[:end])


@pytest.mark.parametrize(
    "printed",
    [
        pytest.param("3C 00", id="TS"),
        pytest.param("3B 80 01 82", id="TCK"),
        pytest.param("3B 00 00", id="a byte too many"),
        pytest.param("3B 80", id="TD1 missing"),
        pytest.param("3B", id="one byte"),
        pytest.param("3B" + "00" * 33, id="34 bytes"),
    ],
)
def test_what_the_standard_does_not_allow_is_refused(printed: str) -> None:
    with pytest.raises(AtrError):
        Atr.parse(bytes.fromhex(printed))


@given(st.binary(max_size=40))
def test_no_bytes_at_all_do_more_than_raise_an_atr_error(raw: bytes) -> None:
    try:
        atr = Atr.parse(raw)
    except AtrError:
        return
    assert len(atr.historical_bytes) <= 15


def test_an_answer_to_reset_does_not_print_its_serial_number() -> None:
    atr = Atr.parse(bytes.fromhex(RESIDENT))

    assert repr(atr) == "<Atr 17 bytes, T=0>"
