"""Windows at a counter, in every region whose centre tells the date: the day before the last, the last
and the day after, while the till's own clock jumps. What the days are is in tests/unit/test_windows.py."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from plugin.activation.region import Effect, RegionProfile
from plugin.profile_file import load_profile
from simulator.people import PEOPLE
from simulator.reader import InProcessDesk
from tests.agents import running
from tests.centre import CentreProcess
from tests.faults.clock import SetClock
from tests.scenario import outcomes
from tests.scenario.counter import Counter, new_card

DAY, TEN_YEARS = timedelta(days=1), timedelta(days=3_652)
JUDGED = [
    region
    for region in outcomes.SHIPPED
    if load_profile(region).centre.offers.card_status
]
LATE_PAYER = "yan"  # whose financial application was never enabled
Told = tuple[str | None, str | None, list[str]]


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def till(
    tmp_path: Path, centre: CentreProcess, clock: SetClock, region: str
) -> Iterator[Counter]:
    hand, profile = InProcessDesk(), load_profile(region)
    with running(
        *(tmp_path, centre.address, {"inprocess": hand}, hand),
        profile=profile,
        clock=clock,
    ) as started:
        yield Counter(started, hand)


def handed_over(person: str, centre: CentreProcess) -> date:
    """On which day, by the centre's books."""
    day = PEOPLE[person].record.handed_over(date.fromisoformat(centre.today))
    assert day is not None
    return day


def tries(counter: Counter, clock: SetClock, person: str) -> Told:
    """Whether this card could be activated now: the outcome, the problem, the notices. The
    till's clock is ten years fast until the card is in, and ten years slow from then on."""
    clock.jump(TEN_YEARS)
    counter.start("outpatient_registration", kind="dry_run")
    clock.jump(-2 * TEN_YEARS)
    counter.put(f"{person}.social_security")
    ended = counter.reaches("succeeded", "failed")
    clock.jump(TEN_YEARS)
    counter.leave()
    return ended.outcome, counter.code, [each["code"] for each in ended.notices]


OPEN: Told = ("would_activate", None, [])


def over(profile: RegionProfile, *, financial: bool = False) -> Told:
    """What is told after the window for activation, or after both."""
    if profile.activation_window.effect is Effect.BLOCK:
        return None, "card.activation_window_closed", []
    told = ["card.activation_window_over"]
    return (
        "would_activate",
        None,
        told + ["card.financial_window_over"] * financial,
    )


@pytest.mark.parametrize("region", JUDGED)
def test_the_centres_date_decides_on_the_day(
    till: Counter, centre: CentreProcess, clock: SetClock, region: str
) -> None:
    profile = load_profile(region)
    last = handed_over("lin", centre) + timedelta(profile.activation_window.days)
    told = []

    for today in (last - DAY, last, last + DAY):
        centre.set_today(today)
        told.append(tries(till, clock, "lin"))

    assert told == [OPEN, OPEN, over(profile)]


@pytest.mark.parametrize("region", JUDGED)
def test_the_financial_application_has_days_of_its_own(
    till: Counter, centre: CentreProcess, clock: SetClock, region: str
) -> None:
    profile = load_profile(region)
    last = handed_over(LATE_PAYER, centre) + timedelta(profile.financial_window.days)
    centre.set_standing(LATE_PAYER, "inactive")
    told = []

    for today in (last - DAY, last, last + DAY):
        centre.set_today(today)
        told.append(tries(till, clock, LATE_PAYER))

    first = over(profile)  # half a year is over by then
    assert told == [first, first, over(profile, financial=True)]


@pytest.mark.parametrize("region", ["v2-first-changeover"])
def test_who_comes_on_the_last_day_is_activated_and_on_the_next_sent_elsewhere(
    till: Counter, centre: CentreProcess, clock: SetClock
) -> None:
    days = load_profile("v2-first-changeover").activation_window.days
    last = handed_over("lin", centre) + timedelta(days)

    centre.set_today(last)
    clock.jump(TEN_YEARS)
    in_time = new_card(till, "lin")
    till.leave()
    centre.set_today(last + DAY)
    clock.jump(-2 * TEN_YEARS)
    too_late = new_card(till, "he")

    assert in_time.outcome == "activated"
    assert (too_late.state, till.code) == ("failed", "card.activation_window_closed")
    assert too_late.problem is not None
    said = f"启用期限 {days} 天已过（至 {last.isoformat()}）"
    assert too_late.problem["messages"]["zh-CN"].startswith(said)
    assert [way["key"] for way in too_late.way_back]
    assert len(centre.effects) == 1
