"""Disks: one that is full, broken, read-only or slow costs nothing that was begun."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from plugin.agent import recovery
from plugin.data_folder import DataFolder
from plugin.journal.layout import SCHEMA_VERSION
from plugin.journal.port import JournalError, JournalInUseError
from plugin.journal.sqlite import SqliteJournal
from tests.centre import CentreProcess
from tests.damaged import restored
from tests.faults.disks import refusing_disk
from tests.faults.places import (
    HOLDERS,
    INITIAL,
    NEW,
    STANDS,
    Place,
    State,
    Visit,
    every_place,
    standing,
)
from tests.waiting import wait_until

SLOW_SECONDS = 2.0
REFUSALS = {
    "F15": (apsw.SQLITE_READONLY, ("open", "write", "delete")),
    "F22": (apsw.SQLITE_IOERR_WRITE, ("write",)),  # as SQLite tells of a quota
}
GOES_ON_MEANWHILE = (State.RECEIVED, State.SENDING, State.UNKNOWN)
BUSY = (State.RECEIVED, State.CARD_STEPS)  # the readers are


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for the disk looks again at once."""
    monkeypatch.setattr(recovery, "JOURNAL_RETRY_MS", 50)


@every_place
@pytest.mark.parametrize("fault", REFUSALS)
def test_the_disk_refuses_for_a_while(
    tmp_path: Path, centre: CentreProcess, place: Place, fault: str
) -> None:
    code, calls = REFUSALS[fault]
    with refusing_disk() as disk, standing(place, tmp_path, centre) as visit:
        with disk.refusing(code, *calls) as refused:
            other = visit.pos.start("outpatient_registration", key="another")
            before = len(refused)
            if place.state in GOES_ON_MEANWHILE:
                place.go_on(visit)
                wait_until(lambda: len(refused) > before)
        if place.state not in GOES_ON_MEANWHILE:
            place.go_on(visit)

        ends = State.ABANDONED if place.state is State.RECEIVED else place.ends
        assert other.status == (409 if place.state in BUSY else 507)
        assert visit.ends(ends) == STANDS[ends]


@every_place
def test_a_sync_takes_seconds(
    tmp_path: Path, centre: CentreProcess, place: Place
) -> None:
    with refusing_disk() as disk, standing(place, tmp_path, centre) as visit:
        slow = disk.slow_once("sync", SLOW_SECONDS)
        place.go_on(visit)
        if place.state.is_terminal:
            Visit(visit.pos, centre).begin("another")

        wait_until(slow.is_set)
        assert visit.ends(place.ends) == STANDS[place.ends]


@every_place
def test_a_file_that_another_program_holds_is_opened_once_it_lets_go(
    tmp_path: Path, centre: CentreProcess, place: Place
) -> None:
    with refusing_disk() as disk:
        with standing(place, tmp_path, centre) as visit:
            folder = visit.agent.folder
        with (
            disk.refusing(apsw.SQLITE_BUSY, "lock"),
            pytest.raises(JournalInUseError),
        ):
            SqliteJournal(folder.journal, folder.keys())

        assert held(folder) == [place.state]


@every_place
def test_a_journal_of_a_later_version_is_left_as_it_is(
    tmp_path: Path, centre: CentreProcess, place: Place
) -> None:
    with standing(place, tmp_path, centre) as visit:
        folder = visit.agent.folder
    _call_it(folder, SCHEMA_VERSION + 1)

    with pytest.raises(JournalError, match="version"):
        SqliteJournal(folder.journal, folder.keys())

    _call_it(folder, SCHEMA_VERSION)
    assert held(folder) == [place.state]


def _call_it(folder: DataFolder, version: int) -> None:
    with closing(apsw.Connection(str(folder.journal))) as raw:
        raw.pragma("user_version", version)


def held(folder: DataFolder) -> list[str]:
    """How the records stand in a closed journal."""
    with closing(SqliteJournal(folder.journal, folder.keys())) as journal:
        return [each.state for each in journal.recent(9)]


@every_place
def test_an_old_copy_is_put_back(
    tmp_path: Path, centre: CentreProcess, place: Place
) -> None:
    """The till notices, and once it is restored has forgotten the visit; the centre has
    not."""
    with standing(place, tmp_path, centre, arrived=False) as visit:
        journal, card = visit.agent.folder.journal, visit.card
    copy = shutil.copy(journal, tmp_path / "copy")
    with standing(place, tmp_path, centre, arrived=False) as visit:
        visit.card = card
        place.arrive(visit)
    shutil.copy(copy, journal)
    centre.behave()

    with standing(place, tmp_path, centre, arrived=False) as visit:
        refused = visit.asked()
    assert refused.body["code"] == "agent.safe_mode"
    assert restored(visit.agent.folder.path)
    with standing(place, tmp_path, centre, arrived=False) as visit:
        visit.card = card
        visit.begin()
        visit.put()
        if place.state in PINS:
            visit.reaches("waiting_pin")
            visit.types(PINS[place.state])
        if place.state is State.CARD_STEPS:
            visit.reaches("waiting_pin.social_security.new")
            visit.types(INITIAL, NEW)
        ended = visit.reaches("succeeded")

        assert ended.outcome in ("activated", "already_active")
        assert [each["state"] for each in visit.pos.kaqi.activations()] == ["ACTIVE"]
        assert len(centre.effects) == 1


PINS = {State.CARD_STEPS: INITIAL, State.MANUAL: HOLDERS}
