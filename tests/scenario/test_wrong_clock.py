"""A till whose own clock is wrong: cards are judged by the centre's date."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from plugin.main import SystemClock
from simulator.reader import InProcessDesk
from tests.agents import running
from tests.centre import CentreProcess
from tests.scenario.counter import Counter

TEN_YEARS = timedelta(days=3652)


class WrongClock(SystemClock):
    """The computer's, so much too fast."""

    def __init__(self, fast: timedelta) -> None:
        self._fast = fast

    def now(self) -> datetime:
        return super().now() + self._fast


@pytest.mark.parametrize("fast", [TEN_YEARS, -TEN_YEARS], ids=["fast", "slow"])
@pytest.mark.parametrize(
    ("person", "notices"), [("lin", []), ("bai", ["card.activation_window_over"])]
)
def test_a_window_is_over_when_the_centre_says_so(
    tmp_path: Path,
    centre: CentreProcess,
    person: str,
    notices: list[str],
    fast: timedelta,
) -> None:
    hand, clock = InProcessDesk(), WrongClock(fast)
    with running(
        tmp_path, centre.address, {"inprocess": hand}, hand, clock=clock
    ) as started:
        counter = Counter(started, hand, readers=2)

        counter.start("pharmacy")
        counter.put(f"{person}.medical")
        counter.put(f"{person}.social_security", 1)
        asked = counter.reaches("waiting_confirm")
        counter.pos.kaqi.confirm(asked)
        ended = counter.reaches("succeeded")

    year = str((datetime.now().astimezone() + fast).year)  # noqa: TID251
    assert asked.data["received_at"].startswith(year)
    assert [each["code"] for each in asked.notices] == notices
    assert ended.outcome == "activated"
