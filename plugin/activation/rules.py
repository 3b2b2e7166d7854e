"""May this card be activated, and do these two belong to one person (domain facts, 0)."""

from __future__ import annotations

from datetime import date, timedelta
from enum import StrEnum

from msgspec import Struct

from plugin.activation.problem import Problem, Refusal
from plugin.activation.region import (
    ACTIVE,
    CentreProfile,
    Check,
    CountsFrom,
    Effect,
    RegionProfile,
    Window,
)
from plugin.activation.saga import Confirmation
from plugin.card.identity import IdentityNumber, as_eighteen, card_number_checks
from plugin.card.medical import MedicalCard
from plugin.card.reading import Card
from plugin.card.social_security import SocialSecurityCard

TEST_REGION = "9999"


class Standing(StrEnum):
    """How a card stands at the centre."""

    NOT_HANDED_OUT = "not_handed_out"
    INACTIVE = "inactive"
    ACTIVE = "active"
    LOST = "lost"
    TEMPORARILY_LOST = "temporarily_lost"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    SUSPENDED = "suspended"  # the financial application was not enabled in time
    UNKNOWN = "unknown"  # the centre has no such card


class CardStatus(Struct, frozen=True, kw_only=True):
    """What the centre says of a card. `today` is the centre's date: windows count by it and
    not by the till's clock. `words` are the centre's own about a card it refuses."""

    standing: Standing
    today: date
    handed_over: date | None = None
    financial_enabled: bool | None = None
    first_replacement: bool | None = None  # of an old medical card, by this card
    since: str | None = None
    channel: str | None = None
    words: Refusal | None = None


class AlreadyActive(Struct, frozen=True):
    """Nothing is left to do: a success, whoever activated it."""

    confirmation: Confirmation


class MayActivate(Struct, frozen=True):
    """Go on; `notices` are what the operator should know."""

    notices: tuple[Problem, ...] = ()


class Stopped(Struct, frozen=True):
    """This card cannot be activated here and now."""

    problem: Problem


Verdict = AlreadyActive | MayActivate | Stopped

_REFUSED: dict[Standing, str] = {
    Standing.NOT_HANDED_OUT: "card.not_handed_out",
    Standing.LOST: "card.lost",
    Standing.TEMPORARILY_LOST: "card.temporarily_lost",
    Standing.CANCELLED: "card.cancelled",
    Standing.EXPIRED: "card.expired",
    Standing.SUSPENDED: "card.suspended",
    Standing.UNKNOWN: "card.unknown_to_centre",
}


def judge(
    status: CardStatus,
    card: SocialSecurityCard,
    profile: RegionProfile,
    *,
    with_old_card: bool = True,
) -> Verdict:
    """What the rules of the region make of a card's standing. `with_old_card` says that
    the old card takes part: only then it matters whether this is its first replacement."""
    if status.standing is Standing.ACTIVE:
        found = Confirmation(
            by="card_status", since=status.since, channel=status.channel
        )
        return AlreadyActive(found)
    refused = _REFUSED.get(status.standing)
    if refused is not None:
        return Stopped(Problem(refused, centre=status.words))
    expires = card.issue.expiry_date
    if expires is not None and status.today > expires:
        return Stopped(Problem("card.expired", {"expired_on": expires.isoformat()}))
    holders = profile.holders
    repeated = status.first_replacement is False
    if with_old_card and holders.first_replacement_only and repeated:
        return Stopped(Problem("card.not_first_replacement"))
    born = born_on(card) if holders.minimum_age else None
    if born is not None and age(born, status.today) < holders.minimum_age:
        facts = {"age": str(holders.minimum_age)}
        return Stopped(Problem("holder.under_age", facts))
    return _within_windows(status, card, profile)


def _within_windows(
    status: CardStatus, card: SocialSecurityCard, profile: RegionProfile
) -> Verdict:
    notices = []
    for window, over, closed, applies in (
        (
            profile.activation_window,
            "card.activation_window_over",
            "card.activation_window_closed",
            True,
        ),
        (
            profile.financial_window,
            "card.financial_window_over",
            "card.financial_window_closed",
            status.financial_enabled is False,
        ),
    ):
        last = last_day(window, status.handed_over, card.issue.issue_date)
        if not applies or last is None or status.today <= last:
            continue
        facts = {"days": str(window.days), "last_day": last.isoformat()}
        if window.effect is Effect.BLOCK:
            return Stopped(Problem(closed, facts))
        notices.append(Problem(over, facts))
    return MayActivate(tuple(notices))


def born_on(card: SocialSecurityCard) -> date | None:
    """The holder's day of birth: from the number where it checks, else the card's own."""
    number = IdentityNumber(as_eighteen(card.social_security_number or ""))
    return (number.birth_date if number.checks else None) or card.birth_date


def age(born: date, today: date) -> int:
    """Full years. Who was born on 29 February is a year older on 1 March."""
    before_birthday = (today.month, today.day) < (born.month, born.day)
    return today.year - born.year - before_birthday


def last_day(
    window: Window, handed_over: date | None, issued: date | None
) -> date | None:
    """The last day inside a window; None when its beginning is not known."""
    begins = handed_over if window.counts_from is CountsFrom.HANDED_OVER else issued
    if begins is None:
        return None
    try:
        return begins + timedelta(days=window.days)
    except OverflowError:
        return date.max


def refused(refusal: Refusal | None, centre: CentreProfile) -> Problem:
    """What the centre's "no" means in this region, with the centre's own words beside it."""
    cause = centre.meaning(refusal) if refusal is not None else None
    known = cause if cause != ACTIVE else None  # which an adapter takes for a yes
    return Problem(known or "centre.refused", centre=refusal)


def same_person(medical: MedicalCard, card: SocialSecurityCard) -> bool | None:
    """Whether both cards carry one social security number; None when the old card carries
    none that can be trusted, and the centre must be asked."""
    if medical.social_security_number is None:
        return None
    old = as_eighteen(medical.social_security_number)
    if old == as_eighteen(card.social_security_number or ""):
        return True
    return False if IdentityNumber(old).checks else None


def objection(card: Card, profile: RegionProfile, *, simulated: bool) -> Problem | None:
    """Why a card that was read well still cannot be used at this till."""
    if card.issue is None:
        return None
    if card.issue.region.startswith(TEST_REGION) and not simulated:
        return Problem("card.test_card")
    if simulated and not card.issue.region.startswith(TEST_REGION):
        return Problem("card.real_card_in_test")
    number = card.issue.card_number
    if profile.card_number is Check.STRICT and not card_number_checks(number or ""):
        return Problem("card.number_wrong")
    return None
