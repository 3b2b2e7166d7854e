"""F20: an older journal is put in the place of the one that was left there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from plugin.agent.backups import NEWEST
from plugin.client import Transaction
from plugin.journal.place import epoch
from plugin.journal.port import AGE
from simulator.reader import InProcessDesk
from tests.agents import running
from tests.centre import CentreProcess
from tests.damaged import restored
from tests.scenario.counter import Counter, new_card
from tests.waiting import wait_until


@contextmanager
def a_day(folder: Path, centre: CentreProcess) -> Iterator[Counter]:
    """The till is switched on, and off."""
    hand = InProcessDesk()
    with running(folder, centre.address, {"inprocess": hand}, hand) as started:
        yield Counter(started, hand)


def states(counter: Counter) -> list[str]:
    """Of every record, the newest first."""
    found = counter.pos.request("GET", "/v1/activations").body["activations"]
    return [each["state"] for each in found]


def yesterday_then_today(folder: Path, centre: CentreProcess) -> dict[str, bytes]:
    """A card is activated today; returns what the files were yesterday."""
    with a_day(folder, centre) as counter:
        counter.start("outpatient_registration")
    then = {each.name: each.read_bytes() for each in folder.glob("journal.*")}
    with a_day(folder, centre) as counter:
        new_card(counter)
        assert counter.now.outcome == "activated"
    return then


@pytest.mark.parametrize("everything", [False, True], ids=["the file", "everything"])
def test_yesterdays_journal_doubles_nothing(
    tmp_path: Path, centre: CentreProcess, everything: bool
) -> None:
    """The file alone, as a technician copies it; or all that lies beside it, as an image of
    the disk has it: then nothing here can tell."""
    then = yesterday_then_today(tmp_path, centre)
    for name in then if everything else ("journal.db",):
        (tmp_path / name).write_bytes(then[name])

    with a_day(tmp_path, centre) as counter:
        answer = counter.pos.start("outpatient_registration")
    noticed = answer.status == 503
    was_restored = restored(tmp_path)
    with a_day(tmp_path, centre) as counter:
        new_card(counter)

    assert noticed == was_restored == (not everything)
    assert counter.now.outcome == "already_active"
    assert len(centre.effects) == 1


def test_what_a_copy_has_begun_is_not_called_abandoned(
    tmp_path: Path, centre: CentreProcess
) -> None:
    """It was copied when the transaction had only begun; then the card was activated."""
    with a_day(tmp_path, centre) as counter:
        counter.start("outpatient_registration")
        before = epoch(tmp_path)
        till = counter.running.agent.till
        till.loop.ask(till.custody.backups.make).result()
        wait_until(lambda: epoch(tmp_path) > before)
        counter.put("lin.social_security")
        done = counter.reaches("succeeded")
    (tmp_path / "journal.db").write_bytes((tmp_path / NEWEST).read_bytes())
    with a_day(tmp_path, centre):
        pass  # in safe mode

    assert restored(tmp_path)
    with a_day(tmp_path, centre) as counter:
        found = counter.pos.request("GET", "/v1/activations").body["activations"]
        told = Transaction(counter.pos.kaqi.get(done.id).data)
        new_card(counter)

    assert [each["state"] for each in found] == ["MANUAL"]
    assert found[0]["problem"]["code"] == "activation.restored"
    assert told.state == "in_doubt"
    assert counter.now.outcome == "already_active"
    assert len(centre.effects) == 1


def age(counter: Counter) -> int:
    """Of the journal, in seconds."""
    till = counter.running.agent.till
    return till.loop.ask(lambda: till._journal.reserve(AGE, 0)).result() - 1


def test_what_was_restored_is_no_older_for_that(
    tmp_path: Path, centre: CentreProcess
) -> None:
    """Else all of it would be forgotten: the journal's age is a measure."""
    with a_day(tmp_path, centre) as counter:
        new_card(counter)
        till = counter.running.agent.till
        till.loop.ask(lambda: till._journal.reserve(AGE, 5_000)).result()
    (tmp_path / "journal.epoch").write_text("999999\n", encoding="ascii")
    assert restored(tmp_path)

    with a_day(tmp_path, centre) as counter:
        assert states(counter) == ["ACTIVE"]
        assert 5_000 <= age(counter) < 6_000
