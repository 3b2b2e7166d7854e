"""Numbers that name a person or a card (domain facts, 2.8 and 10)."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin.card.identity import (
    IdentityNumber,
    card_number_checks,
    is_identification_code,
    parse_day,
    region_of,
)
from simulator.card import personalise


@pytest.mark.parametrize("number", ["11010519491231002X", "440524188001010014"])
def test_the_standards_own_numbers_check(number: str) -> None:
    assert IdentityNumber(number).checks


@pytest.mark.parametrize(
    "number",
    [
        pytest.param("110105194912310021", id="check digit"),
        pytest.param("11010519491231002x", id="small x"),
        pytest.param("110105194913310020", id="thirteenth month"),
        pytest.param("1101051949123100", id="too short"),
        pytest.param("", id="nothing"),
        pytest.param("1101051949123100२X", id="a digit of another script"),
    ],
)
def test_numbers_that_are_none_do_not_check(number: str) -> None:
    assert not IdentityNumber(number).checks


@given(st.dates(date(1900, 1, 1), date(2099, 12, 31)), st.integers(0, 999))
def test_the_card_makers_numbers_check_and_carry_the_birth_date(
    born: date, sequence: int
) -> None:
    number = IdentityNumber(personalise.identity_number("999901", born, sequence))

    assert number.checks
    assert number.birth_date == born
    assert number.value not in repr(number)


@given(
    st.dates(date(1900, 1, 1), date(2099, 12, 31)),
    st.integers(0, 999),
    st.integers(0, 17),
    st.integers(1, 9),
)
def test_one_wrong_digit_is_noticed(
    born: date, sequence: int, place: int, by: int
) -> None:
    number = personalise.identity_number("999901", born, sequence)
    if not number[place].isdigit():
        return
    wrong = str((int(number[place]) + by) % 10)

    assert not IdentityNumber(number[:place] + wrong + number[place + 1 :]).checks


@given(st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=8, max_size=8))
def test_the_card_makers_card_numbers_check(body: str) -> None:
    number = personalise.card_number(body)

    assert card_number_checks(number)
    assert not card_number_checks(body + ("1" if number[-1] == "0" else "0"))


@pytest.mark.parametrize("number", ["X00000019", "T2000001" + "7"])
def test_the_published_card_number_checks(number: str) -> None:
    assert card_number_checks(number)


@pytest.mark.parametrize(
    "number", ["", "X0000001", "X000000199", "x00000019", "X0000００19"]
)
def test_what_is_no_card_number_does_not_check(number: str) -> None:
    assert not card_number_checks(number)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("639900D15600000500BF7C7A48FB4966", True),
        ("330300D15600000599110145FFFFFFFF", True),
        ("AB9900D15600000500BF7C7A48FB4966", False),
        ("639900D25600000500BF7C7A48FB4966", False),
        ("639900D15600000500BF7C7A48FB49", False),
    ],
)
def test_an_identification_code_has_one_form(code: str, *, expected: bool) -> None:
    assert is_identification_code(bytes.fromhex(code)) is expected
    assert region_of(code) == code[:6]


@pytest.mark.parametrize(
    ("digits", "day"),
    [
        ("20240229", date(2024, 2, 29)),
        ("20230229", None),
        ("00000000", None),
        ("2024022", None),
        ("2024022a", None),
    ],
)
def test_a_day_is_a_day_or_nothing(digits: str, day: date | None) -> None:
    assert parse_day(digits) == day


@pytest.mark.parametrize(
    "digits", ["2010100a", "２０１０１００１", "2010100", "201010011"]
)
def test_only_eight_ascii_digits_are_a_day(digits: str) -> None:
    assert parse_day(digits) is None
