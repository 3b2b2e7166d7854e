"""Copies of the journal: made while the till works, checked through, two of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from plugin import main
from plugin.agent import backups
from plugin.agent.backups import MAKING, NEWEST, OLDER, Backups
from plugin.journal.layout import is_sound
from plugin.journal.sqlite import SqliteJournal
from plugin.privacy import Keys
from simulator.reader import InProcessDesk
from tests.agents import running
from tests.centre import CentreProcess
from tests.scenario.counter import Counter, new_card
from tests.waiting import wait_until


@pytest.fixture
def counter(
    tmp_path: Path, centre: CentreProcess, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Counter]:
    """At a till that copies soon after its start, page by page."""
    monkeypatch.setattr(backups, "FIRST_AFTER_MS", 200)
    monkeypatch.setattr(backups, "LOOK_AGAIN_MS", 200)
    monkeypatch.setattr("plugin.journal.sqlite.PAGES_AT_ONCE", 1)
    hand = InProcessDesk()
    with running(tmp_path, centre.address, {"inprocess": hand}, hand) as started:
        yield Counter(started, hand)


def records(path: Path, counter: Counter) -> list[str]:
    journal = SqliteJournal(path, counter.running.folder.keys())
    found = [each.state.value for each in journal.recent(100)]
    journal.close()
    return found


def age(path: Path, by: timedelta) -> None:
    then = (datetime.now() - by).timestamp()  # noqa: DTZ005, TID251 - a file's time
    os.utime(path, (then, then))


def test_a_till_copies_its_journal_while_it_works(
    counter: Counter, tmp_path: Path
) -> None:
    new_card(counter, "lin")
    wait_until((tmp_path / NEWEST).exists)
    counter.take()
    new_card(counter, "he")
    assert counter.now.outcome == "activated"

    assert is_sound(tmp_path / NEWEST, counter.running.folder.keys())
    found = records(tmp_path / NEWEST, counter)
    assert found[-1:] in (["ACTIVE"], [])  # as much as there was at that moment
    assert not (tmp_path / OLDER).exists()  # a day has not passed


def test_after_a_day_the_newest_becomes_the_older(
    counter: Counter, tmp_path: Path
) -> None:
    wait_until((tmp_path / NEWEST).exists)
    new_card(counter, "lin")

    age(tmp_path / NEWEST, timedelta(hours=25))

    wait_until((tmp_path / OLDER).exists)
    wait_until((tmp_path / NEWEST).exists)
    assert records(tmp_path / NEWEST, counter) == ["ACTIVE"]
    assert not (tmp_path / MAKING).exists()


def test_a_damaged_journal_does_not_replace_a_good_copy(
    counter: Counter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_until((tmp_path / NEWEST).exists)
    good = (tmp_path / NEWEST).read_bytes()
    keys, custody = counter.running.folder.keys(), counter.running.agent.till.custody
    monkeypatch.setattr(custody.backups, "_sound", lambda path: _spoilt(path, keys))

    age(tmp_path / NEWEST, timedelta(hours=25))

    damaged = tmp_path / "journal.copying.damaged"
    wait_until(damaged.exists)
    assert (tmp_path / NEWEST).read_bytes() == good
    checks = counter.pos.request("GET", "/readyz").body["checks"]
    (found,) = [each for each in checks if each["name"] == "backup"]
    assert found["problem"]["code"] == "agent.backup_damaged"
    assert not found["required"]


def _spoilt(path: Path, keys: Keys) -> bool:
    """The copy with a page overwritten, as a dying disk leaves it."""
    content = bytearray(path.read_bytes())
    content[4096:8192] = os.urandom(4096)
    path.write_bytes(content)
    return is_sound(path, keys)


class Nothing:
    """No journal, and no time."""

    def copy(self, path: Path) -> Iterator[None]:
        raise AssertionError(path)

    def after(self, milliseconds: float, call: Callable[[], None]) -> None:
        raise AssertionError(milliseconds, call)

    def post(self, call: Callable[[], None]) -> None:
        raise AssertionError(call)


@pytest.mark.parametrize(("days", "code"), [(1, None), (5, "agent.backup_old")])
def test_an_old_copy_is_said(tmp_path: Path, days: int, code: str | None) -> None:
    (tmp_path / NEWEST).write_bytes(b"")
    age(tmp_path / NEWEST, timedelta(days=days))
    nothing = Nothing()
    kept = Backups(
        nothing, tmp_path, nothing, main.SystemClock(), lambda _: True, lambda: None
    )

    problem = kept.finding().problem

    assert (problem.code if problem else None) == code
    assert problem is None or problem.facts["days"] == str(days)


@pytest.mark.parametrize("content", [b"", b"no database", bytes(100_000)])
def test_what_is_no_journal_is_not_sound(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "copy.db"
    path.write_bytes(content)

    assert not is_sound(path, Keys.new())
    assert not is_sound(tmp_path / "nothing", Keys.new())
