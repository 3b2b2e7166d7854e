"""What existing HIS code knows: the string of `iReadCardBas` and the return codes."""

from __future__ import annotations

from datetime import date

import pytest
from msgspec.structs import replace

from plugin import main
from plugin.activation.problem import Problem
from plugin.card import vendor_codes
from plugin.card.basic_info import ENCODING, FIELDS, basic_info
from plugin.card.reading import read_card
from plugin.card.social_security import SocialSecurityCard
from plugin.settings import Terminal
from tests.transcript import play, recorded
from tests.unit.worlds import social_security

SPECIMEN = (
    "639900|111111198101011110|X00000019|639900D15600000500BF7C7A48FB4966|张三"
    "|00814E43238697159900BF7C7A|1.00|20101001|20201001|410100813475|终端设备号|"
)
CATALOGUE = {entry.code for entry in main.catalogue()}


def test_the_specimen_is_the_published_string() -> None:
    card, _ = play(read_card(), recorded("specimen_1_00"))
    assert isinstance(card, SocialSecurityCard)
    terminal = Terminal(number="410100813475", device="终端设备号")

    shown = basic_info(card, bytes.fromhex("00814E43238697159900BF7C7A"), terminal)

    assert shown == SPECIMEN
    assert shown.encode(ENCODING) == SPECIMEN.encode("gbk")


def test_what_is_not_known_is_an_empty_field() -> None:
    card = social_security()
    bare = replace(
        card,
        name=None,
        issue=replace(card.issue, card_number=None, issue_date=None, expiry_date=None),
    )

    fields = basic_info(bare, b"", Terminal()).split("|")

    assert len(fields) == FIELDS + 1
    assert [fields[at] for at in (2, 4, 5, 7, 8, 10)] == [""] * 6
    assert fields[9] == "000000000000"


def test_a_separator_in_a_name_shifts_nothing() -> None:
    odd = replace(social_security(), name="林|试一")

    assert basic_info(odd, b"", Terminal()).split("|")[4] == "林试一"


def test_a_year_before_1000_still_has_four_digits() -> None:
    card = social_security()
    old = replace(card, issue=replace(card.issue, issue_date=date(1, 1, 1)))

    assert basic_info(old, b"", Terminal()).split("|")[7] == "00010101"


@pytest.mark.parametrize(
    ("number", "code", "sw"),
    [
        (-1, "card.unsupported", None),
        (-3, "card.mute", None),
        (-4, "card.mute", None),
        (-21, "card.not_genuine", None),
        (-24, "psam.key_level", None),
        (-31, "pin.cancelled", None),
        (-32, "pin.entry_timeout", None),
        (-33, "pin.length", None),
        (-34, "pin.confirmation_mismatch", None),
        (-35, "pin.still_initial", None),
        (-36, "pin.must_differ_from_initial", None),
        (-51, "pin.wrong", None),
        (-52, "pin.locked", None),
        (-25, "hsm.answer_for_another", None),
        (-2201, "psam.missing", None),
        (-27272, "psam.no_key", None),
        (-27266, "card.status_word", 0x6A82),
        (-26368, "card.status_word", 0x6700),
        (-27011, "card.app_locked", 0x6983),
        (-37635, "card.app_locked", 0x9303),
        (-25537, "card.authentication_failed", 0x63C1),
    ],
)
def test_a_vendors_number_is_a_problem_of_ours(
    number: int, code: str, sw: int | None
) -> None:
    found, status = vendor_codes.problem_of(number)

    assert (found, status.value if status else None) == (code, sw)
    assert code in CATALOGUE


@pytest.mark.parametrize("number", [0, 1, -999, -2204, -5, -0x5FFF, -0x10000])
def test_a_number_that_is_not_in_the_table_is_none_of_ours(number: int) -> None:
    with pytest.raises(LookupError):
        vendor_codes.problem_of(number)


def test_every_number_comes_back_as_the_problem_it_was_given_for() -> None:
    for code in CATALOGUE:
        number = vendor_codes.vendor_code(code)
        if number is None:
            continue
        back, _ = vendor_codes.problem_of(number)
        assert vendor_codes.vendor_code(back) == number


@pytest.mark.parametrize(
    ("problem", "number"),
    [
        (Problem("card.absent"), -2),
        (Problem("card.status_word", {"sw": "6A82"}), -27266),
        (Problem("card.app_locked", {"sw": "9303"}), -37635),
        (Problem("transaction.person_mismatch"), None),
    ],
)
def test_a_problem_carries_the_vendors_number(
    problem: Problem, number: int | None
) -> None:
    assert main.catalogue().body(problem)["vendor_code"] == number


@pytest.mark.parametrize("value", [0x6000, 0xFFFF])
def test_the_first_and_the_last_status_word_are_status_words(value: int) -> None:
    _, found = vendor_codes.problem_of(-value)

    assert found is not None
    assert found.value == value
