"""Who counts the journal's age and looks through it every day, and what may go wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from plugin.activation.expiry import DAY
from plugin.activation.problem import Refusal
from plugin.activation.saga import Activation, ActivationState, Origin
from plugin.agent import retention
from plugin.agent.backups import NEWEST, OLDER
from plugin.agent.retention import COUNT_MS, FIRST_AFTER_MS, Retention
from plugin.journal.memory import MemoryJournal
from plugin.journal.port import AGE, JournalError, Judge, Request, Reviewed
from plugin.settings import Keeping

TODAY = datetime(2026, 1, 1, 12, tzinfo=UTC)


class World:
    """A loop with its timers, and a till's clock that may be wrong."""

    def __init__(self) -> None:
        self.ms = 5_000_000  # an earlier run's
        self.wrong = timedelta(0)
        self._timers: list[tuple[float, Callable[[], None]]] = []

    def ticks(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1000

    def now(self) -> datetime:
        return TODAY + timedelta(milliseconds=self.ms) + self.wrong

    def after(self, milliseconds: float, call: Callable[[], None]) -> None:
        self._timers.append((self.ms + milliseconds, call))

    def live(self, milliseconds: float) -> None:
        """So much time, every timer in its turn."""
        end = self.ms + milliseconds
        while due := [each for each in self._timers if each[0] <= end]:
            first = min(due, key=lambda each: each[0])
            self._timers.remove(first)
            self.ms = max(self.ms, int(first[0]))
            first[1]()
        self.ms = int(end)


class FailingJournal(MemoryJournal):
    """One whose disk refuses now and then: `trouble` is raised by a counter that is
    written, `reviewing` by a review."""

    def __init__(self) -> None:
        super().__init__()
        self.trouble: Exception | None = None
        self.happens_all_the_same = False
        self.reviewing: Exception | None = None
        self.reviews = 0

    def reserve(self, counter: str, amount: int) -> int:
        if not amount or not self.trouble:
            return super().reserve(counter, amount)
        if self.happens_all_the_same:
            super().reserve(counter, amount)
        raise self.trouble

    def review(self, judge: Judge) -> Iterator[Reviewed]:
        self.reviews += 1
        yield from super().review(judge)
        if self.reviewing:
            raise self.reviewing


def over(journal: MemoryJournal, number: int = 1) -> str:
    """A refused activation of somebody; its intent."""
    intent = f"00000000-0000-0000-0000-{number:012}"
    origin = Origin(
        intent_id=intent, client_id="c", scenario="s", institution="h", profile="p"
    )
    key = Request(
        client_id="c",
        key=str(number),
        fingerprint="f",
        transaction_id=origin.transaction_id,
    )
    record = Activation(origin=origin)
    journal.create(record, key)
    refusal = Refusal(code="9", text="林试一")
    journal.save(replace(record, state=ActivationState.REJECTED, refusal=refusal))
    return intent


def beginning(
    world: World, journal: MemoryJournal, folder: Path, ages: dict[str, int | None]
) -> Retention:
    """A life of the agent."""
    begun = Retention(
        journal=journal,
        keeping=Keeping(),
        words=lambda words: replace(words, text=""),
        time=world,
        clock=world,
        folder=folder,
        age_of=lambda copy: ages.get(copy.name),
    )
    begun.begin()
    return begun


def text(journal: MemoryJournal, intent: str) -> str | None:
    """What is left of the centre's words; None when nothing is left of the record."""
    record = journal.get(intent)
    return record.refusal.text if record and record.refusal else None


def age(journal: MemoryJournal) -> int:
    return journal.reserve(AGE, 0) - 1


def test_a_month_of_running_forgets_and_a_year_and_more_removes(tmp_path: Path) -> None:
    world, journal = World(), MemoryJournal()
    intent = over(journal)
    beginning(world, journal, tmp_path, {})

    found = {}
    for day in range(1, 404):
        world.live(DAY * 1000)
        found[day] = text(journal, intent)

    assert [day for day in found if found[day] == "林试一"] == [*range(1, 32)]
    assert [day for day in found if found[day] is None] == [402, 403]


def test_the_first_look_is_soon_after_a_start(tmp_path: Path) -> None:
    world, journal = World(), FailingJournal()
    beginning(world, journal, tmp_path, {})

    world.live(FIRST_AFTER_MS - 1)
    assert journal.reviews == 0
    world.live(1)
    assert journal.reviews == 1
    world.live(DAY * 1000)
    assert journal.reviews == 2


def test_what_an_earlier_run_counted_stays_and_a_crash_costs_little(
    tmp_path: Path,
) -> None:
    world, journal = World(), MemoryJournal()
    for _ in range(3):
        beginning(world, journal, tmp_path, {})
        world.live(FIRST_AFTER_MS + 4 * COUNT_MS + 899_000)  # and then it dies
        world._timers.clear()

    assert age(journal) == 3 * (FIRST_AFTER_MS + 4 * COUNT_MS) // 1000


def test_ten_years_more_on_the_wall_make_nothing_older(tmp_path: Path) -> None:
    world, journal = World(), MemoryJournal()
    intent = over(journal)
    begun = beginning(world, journal, tmp_path, {})
    world.live(DAY * 1000)
    begun.told(world.now().date())
    world.live(DAY * 1000)

    world.wrong = timedelta(days=3652)
    begun.told((world.now() - world.wrong).date())  # the centre knows better
    world.live(3 * DAY * 1000)

    assert text(journal, intent) == "林试一"
    assert age(journal) <= world.ms // 1000


def test_the_centres_day_and_the_tills_together_count_for_a_sleep(
    tmp_path: Path,
) -> None:
    world, journal = World(), MemoryJournal()
    intent = over(journal)
    begun = beginning(world, journal, tmp_path, {})
    world.live(DAY * 1000)
    begun.told(world.now().date())
    world.live(DAY * 1000)

    world.wrong = timedelta(days=40)  # it has slept, and its clock is right
    begun.told(world.now().date())
    world.live(DAY * 1000)

    assert text(journal, intent) == ""


def test_a_day_that_could_not_be_noted_is_noted_when_it_is_told_again(
    tmp_path: Path,
) -> None:
    world, journal = World(), FailingJournal()
    begun = beginning(world, journal, tmp_path, {})
    world.live(DAY * 1000)
    day: date = world.now().date()

    journal.trouble = JournalError("no space left")
    begun.told(day)
    journal.trouble = None
    noted = journal.reserve(retention.TOLD_AT, 0) - 1
    begun.told(day)

    assert noted == 0
    assert journal.reserve(retention.TOLD_AT, 0) - 1 == age(journal)
    assert journal.reserve(retention.TOLD_DAY, 0) - 1 == day.toordinal()


def test_what_was_counted_though_the_journal_failed_is_not_counted_twice(
    tmp_path: Path,
) -> None:
    world, journal = World(), FailingJournal()
    beginning(world, journal, tmp_path, {})
    world.live(DAY * 1000)

    journal.trouble, journal.happens_all_the_same = JournalError("who knows"), True
    world.live(4 * COUNT_MS)
    journal.trouble = None
    world.live(COUNT_MS)

    assert age(journal) <= (world.ms - 5_000_000) // 1000


@pytest.mark.parametrize("trouble", [JournalError("no"), ValueError("half a letter")])
def test_a_look_that_fails_for_days_is_said_and_tried_again(
    tmp_path: Path, trouble: Exception
) -> None:
    world, journal = World(), FailingJournal()
    begun = beginning(world, journal, tmp_path, {})
    world.live(DAY * 1000)
    assert begun.findings() == ()
    journal.reviewing = trouble

    world.live(4.5 * DAY * 1000)
    (finding,) = begun.findings()
    journal.reviewing = None
    world.live(2 * 3_600_000)

    assert not finding.required
    assert finding.problem is not None
    assert finding.problem.code == "agent.retention_failed"
    assert finding.problem.facts == {"days": "5"}
    assert begun.findings() == ()


def test_old_copies_that_were_never_replaced_go(tmp_path: Path) -> None:
    world, journal = World(), MemoryJournal()
    for name in (NEWEST, OLDER):
        (tmp_path / name).write_bytes(b"sealed")
    beginning(world, journal, tmp_path, {NEWEST: 5 * DAY, OLDER: 0})

    world.live(30 * DAY * 1000 + FIRST_AFTER_MS)
    assert (tmp_path / OLDER).exists()
    world.live(DAY * 1000)
    assert not (tmp_path / OLDER).exists()
    assert (tmp_path / NEWEST).exists()
    world.live(5 * DAY * 1000)
    assert not (tmp_path / NEWEST).exists()


def test_a_copy_of_unknown_age_stays(tmp_path: Path) -> None:
    world, journal = World(), MemoryJournal()
    (tmp_path / NEWEST).write_bytes(b"of another key")
    beginning(world, journal, tmp_path, {NEWEST: None})

    world.live(50 * DAY * 1000)

    assert (tmp_path / NEWEST).exists()


def test_the_log_counts_and_names_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world, journal = World(), MemoryJournal()
    over(journal, 1), over(journal, 2)
    beginning(world, journal, tmp_path, {})

    with caplog.at_level(logging.INFO, "kaqi.retention"):
        world.live(33 * DAY * 1000)

    counts = [vars(each)["forgotten"] for each in caplog.records]
    assert sorted(counts)[-2:] == [0, 2]
    assert "林" not in caplog.text


def test_a_till_that_stops_leaves_the_rest_for_the_next_day(tmp_path: Path) -> None:
    world, journal = World(), MemoryJournal()
    intent = over(journal)
    begun = beginning(world, journal, tmp_path, {})
    world.live(31 * DAY * 1000)

    begun.close()
    world.live(retention.STEP_MS)
    assert text(journal, intent) == "林试一"
    beginning(world, journal, tmp_path, {})
    world.live(2 * DAY * 1000)

    assert text(journal, intent) == ""
