"""Who may be activated, and why not (domain facts, 0 and 8)."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from msgspec.structs import replace

from plugin import main
from plugin.activation import rules
from plugin.activation.problem import Problem, Refusal
from plugin.activation.region import (
    CAUSES,
    Check,
    CountsFrom,
    Effect,
    RefusalRule,
    RegionProfile,
    Window,
)
from plugin.activation.rules import (
    AlreadyActive,
    CardStatus,
    MayActivate,
    Standing,
    Stopped,
)
from plugin.activation.saga import Confirmation
from plugin.profile_file import load_profile
from tests.unit.worlds import INACTIVE, PROFILE, TODAY, medical, read, social_security

REFUSED = {
    Standing.NOT_HANDED_OUT: "card.not_handed_out",
    Standing.LOST: "card.lost",
    Standing.TEMPORARILY_LOST: "card.temporarily_lost",
    Standing.CANCELLED: "card.cancelled",
    Standing.EXPIRED: "card.expired",
    Standing.SUSPENDED: "card.suspended",
    Standing.UNKNOWN: "card.unknown_to_centre",
}


def test_every_standing_is_either_judged_or_refused() -> None:
    assert set(Standing) == set(REFUSED) | {Standing.ACTIVE, Standing.INACTIVE}


@pytest.mark.parametrize(("standing", "code"), REFUSED.items())
def test_a_refused_standing_carries_the_centres_own_words(
    standing: Standing, code: str
) -> None:
    words = Refusal(code="2", text="该卡已挂失")
    status = CardStatus(standing=standing, today=TODAY, words=words)

    verdict = rules.judge(status, social_security(), PROFILE)

    assert verdict == Stopped(Problem(code, centre=words))


def test_an_active_card_is_a_success_whoever_activated_it() -> None:
    status = CardStatus(
        standing=Standing.ACTIVE, today=TODAY, since="2026-03-02", channel="bank"
    )

    verdict = rules.judge(status, social_security(), PROFILE)

    assert verdict == AlreadyActive(
        Confirmation(by="card_status", since="2026-03-02", channel="bank")
    )


def test_a_card_past_the_date_printed_on_it_is_refused() -> None:
    card = social_security()
    expires = card.issue.expiry_date
    assert expires is not None

    on_the_day = rules.judge(replace(INACTIVE, today=expires), card, PROFILE)
    day_after = rules.judge(
        replace(INACTIVE, today=expires + timedelta(days=1)), card, PROFILE
    )

    assert isinstance(on_the_day, MayActivate)
    assert isinstance(day_after, Stopped)
    assert day_after.problem.code == "card.expired"


@pytest.mark.parametrize(
    ("began", "days_later", "codes"),
    [
        pytest.param(date(2026, 1, 1), 179, [], id="the day before"),
        pytest.param(date(2026, 1, 1), 180, [], id="the last day"),
        pytest.param(
            date(2026, 1, 1), 181, ["card.activation_window_over"], id="the day after"
        ),
        pytest.param(date(2024, 2, 29), 180, [], id="from a leap day, the last day"),
        pytest.param(
            date(2024, 2, 29),
            181,
            ["card.activation_window_over"],
            id="from a leap day, the day after",
        ),
    ],
)
def test_half_a_year_counts_from_the_hand_over_and_only_warns(
    began: date, days_later: int, codes: list[str]
) -> None:
    today = began + timedelta(days=days_later)
    status = replace(INACTIVE, handed_over=began, today=today, financial_enabled=True)

    verdict = rules.judge(status, social_security(), PROFILE)

    assert isinstance(verdict, MayActivate)
    assert [notice.code for notice in verdict.notices] == codes


@pytest.mark.parametrize(("days", "codes"), [(299, 0), (300, 0), (301, 1)])
def test_three_hundred_days_matter_only_without_the_financial_application(
    days: int, codes: int
) -> None:
    handed_over = TODAY - timedelta(days=days)
    without = replace(INACTIVE, handed_over=handed_over, financial_enabled=False)
    enabled = replace(INACTIVE, handed_over=handed_over, financial_enabled=True)

    notices = [_codes(status) for status in (without, enabled)]

    assert notices[0].count("card.financial_window_over") == codes
    assert notices[1].count("card.financial_window_over") == 0


def _codes(status: CardStatus) -> list[str]:
    verdict = rules.judge(status, social_security(), PROFILE)
    assert isinstance(verdict, MayActivate)
    return [notice.code for notice in verdict.notices]


def test_a_window_may_block_where_the_profile_says_so() -> None:
    window = Window(days=30, counts_from=CountsFrom.ISSUED, effect=Effect.BLOCK)
    card = social_security()
    issued = card.issue.issue_date
    assert issued is not None
    profile = replace(PROFILE, activation_window=window)

    verdict = rules.judge(
        replace(INACTIVE, today=issued + timedelta(days=31)), card, profile
    )

    assert verdict == Stopped(
        Problem(
            "card.activation_window_closed",
            {"days": "30", "last_day": (issued + timedelta(days=30)).isoformat()},
        )
    )


def test_a_window_that_ends_after_all_time_is_open() -> None:
    status = replace(INACTIVE, handed_over=date.max)

    assert rules.judge(status, social_security(), PROFILE) == MayActivate()


def test_a_window_whose_beginning_nobody_knows_never_ends() -> None:
    status = replace(INACTIVE, handed_over=None, financial_enabled=False)

    assert rules.judge(status, social_security(), PROFILE) == MayActivate()


def test_two_cards_belong_together_by_the_social_security_number() -> None:
    assert rules.same_person(medical("lin"), social_security("lin")) is True
    assert rules.same_person(medical("he"), social_security("lin")) is False


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        pytest.param("999901010202101", "999901190102021017", True, id="15 digits"),
        pytest.param("99990119010202102x", "99990119010202102X", True, id="lower x"),
        pytest.param("999901190102021018", "999901190102021017", None, id="damaged"),
        pytest.param("A1234567", "999901190102021017", None, id="another number"),
        pytest.param("A1234567", "a1234567", True, id="a foreigner's"),
    ],
)
def test_one_person_is_known_in_every_spelling(
    old: str, new: str, *, same: bool | None
) -> None:
    medical_card = replace(medical("lin"), social_security_number=old)
    card = replace(social_security("lin"), social_security_number=new)

    assert rules.same_person(medical_card, card) is same


def test_an_old_card_without_the_number_must_be_asked_about() -> None:
    silent = replace(medical("lin"), social_security_number=None)

    assert rules.same_person(silent, social_security("lin")) is None


@pytest.mark.parametrize("name", ["lin.medical", "lin.social_security"])
def test_cards_of_the_cast_are_for_simulations_only(name: str) -> None:
    card = read(name)

    assert rules.objection(card, PROFILE, simulated=True) is None
    assert rules.objection(card, PROFILE, simulated=False) == Problem("card.test_card")


def test_a_real_card_has_no_place_in_a_simulation() -> None:
    card = social_security()
    code = "330300" + card.issue.identification_code[6:]
    real = replace(card, issue=replace(card.issue, identification_code=code))

    assert rules.objection(real, PROFILE, simulated=False) is None
    assert rules.objection(real, PROFILE, simulated=True) == Problem(
        "card.real_card_in_test"
    )


def test_a_wrong_card_number_stops_only_where_the_profile_is_strict() -> None:
    card = social_security()
    wrong = replace(card, issue=replace(card.issue, card_number="T20000010"))
    strict = replace(PROFILE, card_number=Check.STRICT)

    assert rules.objection(wrong, PROFILE, simulated=True) is None
    assert rules.objection(wrong, strict, simulated=True) == Problem(
        "card.number_wrong"
    )
    assert rules.objection(card, strict, simulated=True) is None


# Whose cards may be activated.


def with_holders(**said: object) -> RegionProfile:
    return replace(PROFILE, holders=replace(PROFILE.holders, **said))


CHILD = social_security("tong")  # born on 29 February 2020


@pytest.mark.parametrize(
    ("today", "refused"),
    [
        (date(2036, 2, 28), True),
        (date(2036, 2, 29), False),  # the day
        (date(2035, 3, 1), True),
        (date(1900, 1, 1), True),
    ],
)
def test_a_child_is_refused_until_the_birthday(
    today: date,
    refused: bool,
) -> None:
    status = replace(INACTIVE, today=today, handed_over=today)
    issue = replace(CHILD.issue, expiry_date=None)

    verdict = rules.judge(
        status, replace(CHILD, issue=issue), with_holders(minimum_age=16)
    )

    expected = rules.Stopped(Problem("holder.under_age", {"age": "16"}))
    assert verdict == (expected if refused else MayActivate())


@pytest.mark.parametrize(
    ("today", "years"),
    [
        (date(2023, 2, 28), 2),
        (date(2023, 3, 1), 3),  # no 29 February: a day later
        (date(2024, 2, 28), 3),
        (date(2024, 2, 29), 4),
    ],
)
def test_who_was_born_on_a_leap_day_has_a_birthday_every_year(
    today: date, years: int
) -> None:
    assert rules.age(date(2020, 2, 29), today) == years


def test_without_a_minimum_nobody_is_too_young() -> None:
    unborn = replace(INACTIVE, today=date(2019, 1, 1), handed_over=None)

    assert rules.judge(unborn, CHILD, PROFILE) == MayActivate()


def test_the_age_is_the_numbers_where_that_checks_and_else_the_cards() -> None:
    otherwise = replace(
        CHILD, social_security_number="no number", birth_date=date(1950, 1, 1)
    )

    number = CHILD.social_security_number or ""
    misread = number[:-1] + ("1" if number[-1] != "1" else "2")
    odd = replace(otherwise, social_security_number=misread)

    assert rules.born_on(CHILD) == date(2020, 2, 29)
    assert rules.born_on(replace(CHILD, birth_date=date(1950, 1, 1))) == date(
        2020, 2, 29
    )
    assert rules.born_on(otherwise) == date(1950, 1, 1)
    assert rules.born_on(odd) == date(1950, 1, 1)
    assert rules.born_on(replace(odd, social_security_number=None)) == date(1950, 1, 1)
    assert rules.born_on(replace(otherwise, birth_date=None)) is None


@pytest.mark.parametrize(
    ("only_first", "first", "with_old_card", "refused"),
    [
        (True, False, True, True),
        (True, False, False, False),  # without the old card it does not matter
        (True, True, True, False),
        (True, None, True, False),  # the centre does not say
        (False, False, True, False),
    ],
)
def test_only_a_first_replacement_where_the_region_says_so(
    *, only_first: bool, first: bool | None, with_old_card: bool, refused: bool
) -> None:
    status = replace(INACTIVE, first_replacement=first)
    profile = with_holders(first_replacement_only=only_first)

    verdict = rules.judge(
        status, social_security(), profile, with_old_card=with_old_card
    )

    stopped = rules.Stopped(Problem("card.not_first_replacement"))
    assert verdict == (stopped if refused else MayActivate())


# What a refusal means.

MEANS = replace(
    PROFILE.centre,
    refusals=(
        RefusalRule(means="card.temporarily_lost", code="-1", contains="临时挂失"),
        RefusalRule(means="card.lost", code="-1", contains="挂失"),
        RefusalRule(means="active", contains="已启用"),
        RefusalRule(means="card.cancelled", code="4"),
    ),
)


@pytest.mark.parametrize(
    ("code", "text", "means"),
    [
        ("-1", "该卡已临时挂失", "card.temporarily_lost"),  # the first that fits
        ("-1", "该卡已挂失", "card.lost"),
        ("2", "该卡已挂失", "centre.refused"),  # another code
        ("7", "该卡已启用", "centre.refused"),  # what adapters take for a yes
        ("4", "", "card.cancelled"),
        ("-1", "系统维护", "centre.refused"),
    ],
)
def test_a_refusal_means_what_the_region_says_with_the_centres_words(
    code: str, text: str, means: str
) -> None:
    said = Refusal(code=code, text=text)

    problem = rules.refused(said, MEANS)

    assert problem == Problem(means, centre=said)


SAID = [
    ("该卡已启用，无需重复办理", "active"),
    ("该持卡人另一张社会保障卡已启用，本卡不能启用", None),
    ("金融功能已启用，该卡已挂失", "card.lost"),
    ("该卡已注销（此前该卡已启用）", "card.cancelled"),
    ("系统忙，未找到该卡已启用的记录", "centre.busy"),
    ("超过半年未启用，原医保卡限制使用", "card.activation_window_closed"),
    ("金融账户逾期未启用，社保应用已临时挂失", "card.suspended"),
    ("代办人身份证已过有效期", None),
    ("距上次操作未满24小时", None),
    ("社会保障号码与姓名不是同一人", "card.holder_mismatch"),
]


@pytest.mark.parametrize("region", ["v3-old-pin", "v4-old-authenticates"])
@pytest.mark.parametrize(("text", "means"), SAID)
def test_words_that_only_look_alike_mean_something_else(
    region: str, text: str, means: str | None
) -> None:
    centre = load_profile(region).centre

    assert centre.meaning(Refusal(code="-1", text=text)) == means


def test_an_old_card_that_is_lost_is_not_the_new_one() -> None:
    centre = load_profile("v4-old-authenticates").centre

    said = Refusal(code="-1", text="原医保卡已挂失")

    assert centre.meaning(said) == "card.medical_blocked"


@pytest.mark.parametrize("code", sorted(CAUSES))
def test_what_a_refusal_means_can_be_said_without_facts(code: str) -> None:
    for text in main.catalogue().body(Problem(code))["messages"].values():
        assert "  " not in text
        assert "（至" not in text
        assert "{" not in text
        assert "()" not in text


def test_a_refusal_without_words_is_a_refusal() -> None:
    assert rules.refused(None, MEANS) == Problem("centre.refused")
