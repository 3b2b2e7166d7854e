"""When a record has been over for how long: never longer than in truth."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from plugin.activation.expiry import DAY, Calendar, judged
from plugin.activation.problem import Problem, Refusal
from plugin.activation.region import RefusalRule
from plugin.activation.saga import (
    Activation,
    ActivationState,
    Origin,
    Settlement,
    Verdict,
)
from plugin.settings import Keeping
from tests.unit.worlds import PROFILE

ORIGIN = Origin(
    intent_id="i", client_id="c", scenario="pharmacy", institution="h", profile="p"
)
RECORD = Activation(
    origin=ORIGIN,
    state=ActivationState.REJECTED,
    message=b"the holder's",
    refusal=Refusal(code="7", text="the holder's name"),
    problem=Problem("card.lost", {"days": "3"}, Refusal(code="8", text="the name")),
    settlement=Settlement(
        verdict=Verdict.REJECTED,
        reason="the holder's sister called",
        operator_ref="o",
        client_id="c",
        at="then",
    ),
)
FIRST = date(2026, 1, 1)


def wordless(refusal: Refusal) -> Refusal:
    return replace(refusal, text="")


def after(days: int, record: Activation = RECORD) -> Activation | None:
    return judged(record, Calendar(age=days * DAY), Keeping(), wordless)


def test_nothing_is_forgotten_before_its_time() -> None:
    assert after(30) == RECORD
    assert after(400) is not None


def test_after_thirty_days_the_outcome_is_left_and_nobodys_name() -> None:
    left = after(31)

    assert left is not None
    assert left.forgotten
    assert left.message is None
    assert left.refusal == Refusal(code="7")
    assert left.problem == Problem("card.lost", {"days": "3"}, Refusal(code="8"))
    assert left.settlement is not None
    assert (left.settlement.reason, left.settlement.verdict) == ("", Verdict.REJECTED)
    assert left.state is RECORD.state
    assert "holder" not in repr(left)


def test_what_is_forgotten_stays_as_it_is_until_it_goes() -> None:
    left = after(31)

    assert left is not None
    assert after(400, left) == left
    assert after(401, left) is None


def test_the_centres_days_count_for_a_till_that_sleeps() -> None:
    telling = Calendar(age=100).told(FIRST, FIRST)
    record = telling.dated(replace(RECORD, ended=50))
    later = telling.told(FIRST + timedelta(31), FIRST + timedelta(31))

    assert record.ended_day == FIRST.toordinal()
    assert later.days_over(record) == 30
    assert telling.days_over(record) == 0


def test_a_record_that_ended_after_a_telling_waits_for_the_next() -> None:
    telling = Calendar(age=100).told(FIRST, FIRST)
    record = replace(RECORD, ended=100)

    assert telling.dated(record) == record
    much_later = FIRST + timedelta(60)
    slept = telling.lived(900).told(much_later, much_later)
    assert slept.days_over(slept.dated(record)) == 0


def test_before_anything_was_told_nothing_is_dated() -> None:
    assert Calendar(age=100, told_at=90).dated(RECORD) == RECORD


@pytest.mark.parametrize("off", [-3652, -1, 1, 3652])
def test_a_day_that_the_tills_own_clock_denies_is_not_believed(off: int) -> None:
    calendar = Calendar(age=100)

    assert calendar.told(FIRST, FIRST + timedelta(off)) == calendar
    assert calendar.told(FIRST + timedelta(off), FIRST) == calendar


def test_days_only_go_forward() -> None:
    told = Calendar(age=100).told(FIRST, FIRST)

    assert told.told(FIRST - timedelta(5), FIRST - timedelta(5)) == told
    assert told.lived(900).told(FIRST, FIRST).told_at == 100


@pytest.mark.parametrize(
    ("seconds", "age"), [(900, 900), (-900, 0), (DAY, DAY), (40 * DAY, DAY)]
)
def test_of_what_was_not_counted_for_long_a_day_is_believed(
    seconds: int, age: int
) -> None:
    assert Calendar().lived(seconds).age == age


# Whatever happens to a till


@dataclass
class Till:
    """A till in a world whose true time is known. `wrong` is how far its clock is off, and
    `centre_wrong` how far the centre's is."""

    true: int = 0
    wrong: int = 0
    centre_wrong: int = 0
    pending: int = 0
    known: Calendar = field(default_factory=Calendar)
    ended: list[tuple[int, Activation]] = field(default_factory=list)

    def run(self, seconds: int) -> None:
        """It is on; what it has lived is not yet durable."""
        self.true += seconds
        self.pending += seconds

    def count(self, _: int) -> None:
        """Now it is."""
        self.known = self.known.lived(self.pending)
        self.pending = 0

    def off(self, seconds: int) -> None:
        """Switched off, or dead, or asleep: what was not durable is lost."""
        self.true += seconds
        self.pending = 0

    def stand(self, seconds: int) -> None:
        """The journal cannot be written for a while; nothing ends meanwhile either."""
        self.run(seconds)
        self.count(0)

    def jump(self, seconds: int) -> None:
        """Its clock is set."""
        self.wrong = seconds

    def tell(self, _: int) -> None:
        """The centre says the day."""
        self.count(0)
        centre = _day(self.true + self.centre_wrong)
        self.known = self.known.told(centre, _day(self.true + self.wrong))

    def end(self, _: int) -> None:
        """A record ends, stamped with the age that is durable."""
        self.ended.append((self.true, replace(RECORD, ended=self.known.age)))

    def review(self, _: int) -> None:
        """Every record is dated."""
        self.ended = [(true, self.known.dated(each)) for true, each in self.ended]


def _day(second: int) -> date:
    return (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=second)).date()


YEARS = 3652 * DAY
TIMES = st.one_of(st.integers(0, DAY), st.integers(0, 60 * DAY))
JUMPS = st.one_of(
    st.just(0), st.sampled_from([-3600, 3600]), st.integers(-YEARS, YEARS)
)
HAPPENINGS = st.one_of(
    st.tuples(st.sampled_from(["off", "stand"]), TIMES),
    st.tuples(st.just("run"), st.integers(0, 1_800)),
    st.tuples(st.just("jump"), JUMPS),
    st.tuples(st.sampled_from(["count", "tell", "end", "review"]), st.just(0)),
)


def live(till: Till, happenings: list[tuple[str, int]]) -> None:
    """All of it, and no record was ever over for longer than in truth."""
    for name, amount in [*happenings, ("count", 0), ("review", 0)]:
        getattr(till, name)(amount)
        for true, record in till.ended:
            over = (till.true - true) / DAY
            assert till.known.days_over(till.known.dated(record)) <= over


@settings(max_examples=1_000)
@given(st.lists(HAPPENINGS, max_size=40))
def test_whatever_the_tills_clock_says_nothing_is_over_too_early(
    happenings: list[tuple[str, int]],
) -> None:
    live(till := Till(), happenings)

    assert till.known.age <= till.true


@settings(max_examples=500)
@given(
    st.lists(HAPPENINGS.filter(lambda each: each[0] != "jump"), max_size=40),
    st.integers(-YEARS, YEARS),
)
def test_whatever_day_the_centre_says_a_right_clock_denies_it(
    happenings: list[tuple[str, int]], wrong: int
) -> None:
    live(till := Till(centre_wrong=wrong), happenings)

    assert till.known.age <= till.true


@pytest.mark.parametrize("hours", [24, 10])
@pytest.mark.parametrize("days", [32, 402])
def test_with_a_centre_that_tells_the_day_nothing_stays_much_longer(
    hours: int, days: int
) -> None:
    till = Till()
    till.end(0)
    for _ in range(days):
        for _ in range(hours * 2):
            till.run(1_800)
            till.count(0)
        till.tell(0)
        till.review(0)
        till.off((24 - hours) * 3600)

    ((_, record),) = till.ended
    assert days - 2 <= till.known.days_over(record) <= days


# The words that a region's rules go by


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("林试一的卡已挂失", "挂失"),
        ("林试一：挂失，注销", "挂失\n注销"),
        ("林试一", ""),
    ],
)
def test_of_a_refusal_only_the_words_of_the_rules_stay(text: str, left: str) -> None:
    centre = replace(
        PROFILE.centre,
        refusals=(
            RefusalRule(code="9", contains="挂失", means="card.lost"),
            RefusalRule(code="9", contains="注销", means="card.cancelled"),
            RefusalRule(code="9", means="centre.refused"),
        ),
    )
    told = Refusal(code="9", text=text)

    kept = centre.known_words(told)

    assert kept == Refusal(code="9", text=left)
    assert centre.meaning(kept) == centre.meaning(told)
