"""Clocks: whatever they show, what was begun ends as if they had been right."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from plugin.activation.saga import ActivationState
from tests.centre import CentreProcess
from tests.faults.clock import SetClock
from tests.faults.places import STANDS, Place, every_place, standing

HOUR = timedelta(hours=1)
TEN_YEARS = timedelta(days=3_652)
NIGHT = 8 * HOUR
BERLIN = ZoneInfo("Europe/Berlin")  # Shanghai's clocks are never put back
SUMMER_ENDS = datetime(2026, 10, 25, 0, 59, 58, tzinfo=UTC)
NEVER_MIND = 60_000  # ms, which no test takes


def ten_years(clock: SetClock) -> None:
    clock.jump(TEN_YEARS)
    clock.jump(-2 * TEN_YEARS)


def one_hour_back(clock: SetClock) -> None:
    clock.jump(-HOUR)


def end_of_summer(clock: SetClock) -> None:
    clock.show(SUMMER_ENDS, BERLIN)
    before = clock.now()
    clock.jump(timedelta(seconds=2))
    after = clock.now()
    assert after.utcoffset() != before.utcoffset()
    assert after.replace(tzinfo=None) < before.replace(tzinfo=None)


def leap_second(clock: SetClock) -> None:
    clock.jump(timedelta(seconds=-1))  # 23:59:59 comes twice


JUMPS = {
    "F24": ten_years,
    "F25": one_hour_back,
    "F27": end_of_summer,
    "F28": leap_second,
}


@every_place
@pytest.mark.parametrize("fault", JUMPS)
def test_j10_the_wall_clock_jumps(
    tmp_path: Path, centre: CentreProcess, place: Place, fault: str
) -> None:
    clock = SetClock()
    with standing(place, tmp_path, centre, clock=clock) as visit:
        began = visit.till.loop.ticks()

        JUMPS[fault](clock)
        stood = visit.record["state"]
        place.go_on(visit)

        assert stood == place.state
        assert visit.ends(place.ends) == STANDS[place.ends]
        assert 0 <= visit.till.loop.ticks() - began < NEVER_MIND  # F29


NOBODY_WAITED = {
    ActivationState.RECEIVED: ActivationState.ABANDONED,
    ActivationState.CARD_STEPS: ActivationState.ABANDONED,
}


@every_place
def test_the_computer_sleeps_for_a_night(
    tmp_path: Path, centre: CentreProcess, place: Place
) -> None:
    """People have gone home; what was sent ends all the same."""
    clock = SetClock()
    with standing(place, tmp_path, centre, clock=clock) as visit:
        clock.sleep(NIGHT)
        if place.state not in NOBODY_WAITED:
            place.go_on(visit)

        ends = NOBODY_WAITED.get(place.state, place.ends)
        assert visit.ends(ends) == STANDS[ends]
