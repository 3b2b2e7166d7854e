"""Windows: to the day, by the centre's date and never by a clock (domain facts, 8.2)."""

from __future__ import annotations

import ast
from datetime import date, timedelta
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from plugin import activation
from plugin.activation import rules
from plugin.activation.problem import Problem
from plugin.activation.region import CountsFrom, Effect, RegionProfile, Window
from plugin.activation.rules import CardStatus, MayActivate, Standing, Stopped, Verdict
from plugin.card.social_security import SocialSecurityCard
from tests.unit.worlds import PROFILE, social_security

NAMES = ("activation", "financial")
CARD = social_security()
EVERY_KIND = list(product(NAMES, CountsFrom, Effect))
every_kind = pytest.mark.parametrize(("name", "counts_from", "effect"), EVERY_KIND)

# the first day, how many days, and the last day that is inside: by a calendar on paper
LAST_DAYS = [
    pytest.param(date(2026, 1, 1), 180, date(2026, 6, 30), id="half a year"),
    pytest.param(date(2026, 1, 1), 300, date(2026, 10, 28), id="300 days"),
    pytest.param(date(2026, 1, 31), 28, date(2026, 2, 28), id="to a month's end"),
    pytest.param(date(2026, 1, 31), 29, date(2026, 3, 1), id="over February"),
    pytest.param(date(2026, 4, 30), 31, date(2026, 5, 31), id="30 to 31"),
    pytest.param(date(2024, 1, 31), 29, date(2024, 2, 29), id="to a leap day"),
    pytest.param(date(2024, 1, 31), 30, date(2024, 3, 1), id="over a leap day"),
    pytest.param(date(2023, 2, 28), 1, date(2023, 3, 1), id="no leap day"),
    pytest.param(date(2024, 2, 28), 1, date(2024, 2, 29), id="a leap day"),
    pytest.param(date(2024, 2, 29), 180, date(2024, 8, 27), id="from a leap day"),
    pytest.param(date(2024, 2, 29), 366, date(2025, 3, 1), id="a leap year later"),
    pytest.param(date(2100, 2, 28), 1, date(2100, 3, 1), id="2100 has no leap day"),
    pytest.param(date(2000, 2, 28), 1, date(2000, 2, 29), id="2000 had one"),
    pytest.param(date(2025, 12, 31), 1, date(2026, 1, 1), id="over the year's end"),
    pytest.param(date(2025, 7, 4), 180, date(2025, 12, 31), id="to the year's end"),
    pytest.param(date(2025, 8, 31), 180, date(2026, 2, 27), id="into the next year"),
    pytest.param(date(2026, 3, 28), 1, date(2026, 3, 29), id="clocks change in Europe"),
    pytest.param(date.min, 1, date(1, 1, 2), id="the first of all days"),
    pytest.param(date.min, 3660, date(11, 1, 9), id="ten years from the first"),
    pytest.param(date(9999, 12, 1), 29, date(9999, 12, 30), id="the day before last"),
]


def with_window(name: str, window: Window) -> RegionProfile:
    """A region with this window; the other one counts from the other beginning."""
    (counts_from,) = set(CountsFrom) - {window.counts_from}
    windows = dict.fromkeys(NAMES, replace(window, counts_from=counts_from))
    windows[name] = window
    return replace(
        PROFILE,
        activation_window=windows["activation"],
        financial_window=windows["financial"],
    )


def judged(
    name: str,
    window: Window,
    begins: date | None,
    today: date,
    *,
    financial_enabled: bool | None = False,
) -> Verdict:
    """The verdict on a card whose window begins then; the other beginning is unknown."""
    handed_over = begins if window.counts_from is CountsFrom.HANDED_OVER else None
    issued = begins if window.counts_from is CountsFrom.ISSUED else None
    status = CardStatus(
        standing=Standing.INACTIVE,
        today=today,
        handed_over=handed_over,
        financial_enabled=financial_enabled,
    )
    return rules.judge(status, issued_on(issued), with_window(name, window))


def issued_on(day: date | None) -> SocialSecurityCard:
    """A card of that day that does not expire."""
    return replace(CARD, issue=replace(CARD.issue, issue_date=day, expiry_date=None))


def expected(name: str, window: Window, last: date) -> Verdict:
    """The verdict when it is over."""
    facts = {"days": str(window.days), "last_day": last.isoformat()}
    if window.effect is Effect.BLOCK:
        return Stopped(Problem(f"card.{name}_window_closed", facts))
    return MayActivate((Problem(f"card.{name}_window_over", facts),))


@every_kind
@pytest.mark.parametrize(("begins", "days", "last"), LAST_DAYS)
def test_a_window_is_open_on_its_last_day_and_over_on_the_next(
    name: str,
    counts_from: CountsFrom,
    effect: Effect,
    begins: date,
    days: int,
    last: date,
) -> None:
    window = Window(days=days, counts_from=counts_from, effect=effect)
    day = timedelta(days=1)

    before, on_it, after = (
        judged(name, window, begins, today) for today in (last - day, last, last + day)
    )

    assert (before, on_it) == (MayActivate(), MayActivate())
    assert after == expected(name, window, last)


@every_kind
@pytest.mark.parametrize("days", [1, 180, 3660])
@pytest.mark.parametrize("early", [0, 1])
def test_a_window_that_reaches_the_last_of_all_days_never_ends(
    name: str, counts_from: CountsFrom, effect: Effect, days: int, early: int
) -> None:
    window = Window(days=days, counts_from=counts_from, effect=effect)
    begins = date.max - timedelta(days=days * early)

    assert judged(name, window, begins, date.max) == MayActivate()


@every_kind
def test_a_window_whose_beginning_nobody_knows_is_open(
    name: str, counts_from: CountsFrom, effect: Effect
) -> None:
    window = Window(days=1, counts_from=counts_from, effect=effect)

    assert judged(name, window, None, date.max) == MayActivate()


@every_kind
def test_a_window_that_has_not_begun_is_open(
    name: str, counts_from: CountsFrom, effect: Effect
) -> None:
    window = Window(days=1, counts_from=counts_from, effect=effect)

    assert judged(name, window, date(2026, 5, 1), date.min) == MayActivate()


@every_kind
@pytest.mark.parametrize("enabled", [True, None])
def test_only_the_missing_financial_application_has_a_window(
    name: str, counts_from: CountsFrom, effect: Effect, *, enabled: bool | None
) -> None:
    window = Window(days=1, counts_from=counts_from, effect=effect)
    begins = date(2026, 5, 1)

    verdict = judged(name, window, begins, date(2026, 5, 3), financial_enabled=enabled)

    last = date(2026, 5, 2)
    over = MayActivate() if name == "financial" else expected(name, window, last)
    assert verdict == over


@pytest.mark.parametrize("standing", [each for each in Standing if each != "inactive"])
def test_only_a_card_that_is_not_active_has_windows(standing: Standing) -> None:
    window = Window(days=1, counts_from=CountsFrom.HANDED_OVER, effect=Effect.BLOCK)
    status = CardStatus(
        standing=standing,
        today=date.max,
        handed_over=date.min,
        financial_enabled=False,
    )

    verdict = rules.judge(status, issued_on(None), with_window("activation", window))

    assert "window" not in repr(verdict)


def test_the_first_window_that_blocks_is_named_and_warnings_are_told_together() -> None:
    def both(first: Effect, second: Effect) -> Verdict:
        window = Window(days=1, counts_from=CountsFrom.HANDED_OVER, effect=first)
        profile = replace(
            PROFILE,
            activation_window=window,
            financial_window=replace(window, effect=second),
        )
        status = CardStatus(
            standing=Standing.INACTIVE,
            today=date(2026, 5, 3),
            handed_over=date(2026, 5, 1),
            financial_enabled=False,
        )
        return rules.judge(status, issued_on(None), profile)

    def codes(verdict: Verdict) -> list[str]:
        match verdict:
            case MayActivate(notices):
                return [each.code for each in notices]
            case Stopped(problem):
                return [problem.code]
            case _:
                return []

    warn, block = Effect.WARN, Effect.BLOCK
    assert codes(both(warn, warn)) == [
        "card.activation_window_over",
        "card.financial_window_over",
    ]
    assert codes(both(warn, block)) == ["card.financial_window_closed"]
    assert codes(both(block, warn)) == ["card.activation_window_closed"]
    assert codes(both(block, block)) == ["card.activation_window_closed"]


@given(
    begins=st.dates(),
    days=st.integers(1, 3660),
    today=st.dates(),
    kind=st.sampled_from(EVERY_KIND),
)
def test_a_window_is_over_when_more_days_have_passed_than_it_has(
    begins: date, days: int, today: date, kind: tuple[str, CountsFrom, Effect]
) -> None:
    name, counts_from, effect = kind
    window = Window(days=days, counts_from=counts_from, effect=effect)

    verdict = judged(name, window, begins, today)

    passed = today.toordinal() - begins.toordinal()
    assert (verdict != MayActivate()) == (passed > days)


CLOCKS = {"time", "sched", "calendar", "zoneinfo", "asyncio", "threading", "signal"}
ASKING = {"now", "utcnow", "today", "time", "monotonic", "perf_counter", "localtime"}
ROOM = sorted(Path(activation.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("file", ROOM, ids=lambda file: file.stem)
def test_nothing_that_decides_can_look_at_a_clock(file: Path) -> None:
    imported, called = set(), set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        match node:
            case ast.Import(names):
                imported |= {each.name.partition(".")[0] for each in names}
            case ast.ImportFrom(module=str(module)):
                imported.add(module.partition(".")[0])
            case ast.Call(func=ast.Attribute(attr=name)):
                called.add(name)
            case _:
                pass

    assert imported & CLOCKS == set()
    assert called & ASKING == set()
