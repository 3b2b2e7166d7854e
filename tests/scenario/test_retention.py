"""Travels in time: what is personal goes after a month, the answer to a key after more than
a year, and no wrong clock makes either go early."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from plugin.agent import backups
from plugin.journal.port import AGE
from plugin.main import SystemClock
from simulator.reader import InProcessDesk
from tests.agents import Answer, running
from tests.centre import CentreProcess
from tests.scenario.counter import Counter, new_card
from tests.waiting import wait_until

DAY = 86_400
NAMES = ("林*", "何*")  # of the two holders, as they are masked
CENTRES_WORDS = "中心暂不受理"


class Traveller(SystemClock):
    """The computer's clocks, moved on by whoever tests."""

    def __init__(self) -> None:
        self.lived = 0  # seconds more than in truth
        self.shown = timedelta(0)  # how much more than that its wall clock shows

    def monotonic(self) -> float:
        return super().monotonic() + self.lived

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.lived) + self.shown


class Story(Counter):
    """A till, one card that was activated and one that was refused, each with its key."""

    clock: Traveller
    files: Path

    def sale(self, person: str, key: str) -> Answer:
        """A registration with this key, to its end."""
        order = {"readers": self.ids}
        self.pos.start("outpatient_registration", order, key=key)
        self.put(f"{person}.social_security")
        wait_until(lambda: self.again(key).body["state"] in ("succeeded", "failed"))
        self.take()
        return self.again(key)

    def again(self, key: str) -> Answer:
        """The same request with the same key."""
        return self.pos.start("outpatient_registration", {"readers": self.ids}, key=key)

    def record(self, answer: Answer) -> Answer:
        """The durable record."""
        intent = answer.body["result"]["activation"]
        return self.pos.request("GET", f"/v1/activations/{intent}")

    def age(self) -> int:
        """Of the journal, in seconds."""
        till = self.running.agent.till
        return till.loop.ask(lambda: till._journal.reserve(AGE, 0)).result(10) - 1

    def days_pass(self, days: int) -> None:
        """The till runs so long."""
        for _ in range(days):
            self._passes(DAY)

    def is_reviewed(self) -> None:
        """Wait until the journal was looked through as it is now."""
        retention = self.running.agent.till.custody.retention
        self._passes(DAY)
        wait_until(lambda: retention._review is None)
        before = retention._reviewed_at
        self._passes(DAY)
        wait_until(lambda: retention._reviewed_at > before)

    def _passes(self, seconds: int) -> None:
        before = self.age()
        self.clock.lived += seconds
        wait_until(lambda: self.age() >= before + seconds)


@pytest.fixture
def story(
    tmp_path: Path, centre: CentreProcess, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Story]:
    """Its copies are made when it says so: its days are too short for them."""
    monkeypatch.setattr(backups, "FIRST_AFTER_MS", 10**12)
    hand, clock = InProcessDesk(), Traveller()
    with running(
        tmp_path, centre.address, {"inprocess": hand}, hand, clock=clock
    ) as started:
        told = Story(started, hand)
        told.clock, told.files = clock, tmp_path
        yield told


def leap(story: Story, by: timedelta) -> None:
    story.clock.shown += by


@pytest.mark.parametrize(
    "wrong",
    [timedelta(0), timedelta(days=3652), -timedelta(days=3652)],
    ids=["right", "ten years fast", "ten years slow"],
)
def test_the_same_key_is_answered_alike_for_four_hundred_days(
    story: Story, centre: CentreProcess, wrong: timedelta
) -> None:
    first = story.sale("lin", "sale-1")
    centre.misbehave("refuse", "activations", times=1)
    refused = story.sale("he", "sale-2")
    assert (first.body["state"], refused.body["state"]) == ("succeeded", "failed")
    assert any(name in json.dumps(first.body, ensure_ascii=False) for name in NAMES)
    leap(story, wrong)

    story.days_pass(1)
    early = [story.again("sale-1").body, story.again("sale-2").body]
    records = [story.record(first).body, story.record(refused).body]
    story.days_pass(27)
    assert story.record(refused).body["refusal"]["text"] == CENTRES_WORDS
    story.days_pass(4)
    story.is_reviewed()

    _answered_alike(story, early, records, (first, refused))
    story.days_pass(399 - 33)
    _answered_alike(story, early, records, (first, refused))
    story.days_pass(3)
    story.is_reviewed()
    assert story.record(first).status == 404
    assert story.again("sale-1").body["id"] != first.body["id"]


def _answered_alike(
    story: Story,
    early: list[dict[str, Any]],
    records: list[dict[str, Any]],
    answers: tuple[Answer, Answer],
) -> None:
    """To the key and about the record: all as on the second day but the centre's words."""
    found = [story.again("sale-1"), story.again("sale-2")]
    kept = [story.record(each) for each in answers]

    assert [each.status for each in (*found, *kept)] == [202, 202, 200, 200]
    assert [each.body for each in found] == [early[0], _wordless(early[1], "problem")]
    assert kept[0].body == records[0]
    assert kept[1].body == records[1] | {"refusal": {"code": "9", "text": ""}}
    shown = json.dumps([each.body for each in (*found, *kept)], ensure_ascii=False)
    assert not any(name in shown for name in (*NAMES, CENTRES_WORDS))


def _wordless(answer: dict[str, Any], problem: str) -> dict[str, Any]:
    told = answer[problem]
    return answer | {problem: told | {"centre": told["centre"] | {"text": ""}}}


def test_a_wall_clock_alone_makes_nothing_old(
    story: Story, centre: CentreProcess
) -> None:
    centre.misbehave("refuse", "activations", times=1)
    refused = story.sale("he", "sale-1")
    story.is_reviewed()

    leap(story, timedelta(days=3652))
    story.is_reviewed()

    assert story.record(refused).body["refusal"]["text"] == CENTRES_WORDS


def test_a_till_that_sleeps_goes_by_the_days_of_its_centre(
    story: Story, centre: CentreProcess
) -> None:
    centre.misbehave("refuse", "activations", times=1)
    refused = story.sale("he", "sale-1")
    story.is_reviewed()
    _told(story, centre)
    story.is_reviewed()

    leap(story, timedelta(days=40))  # it was asleep
    _told(story, centre)
    story.is_reviewed()

    assert story.record(refused).body["refusal"] == {"code": "9", "text": ""}


def _told(story: Story, centre: CentreProcess) -> None:
    """The centre says the day that it is for the till as well."""
    centre.set_today(story.clock.now().date())
    new_card(story)
    story.take()


def test_what_is_forgotten_is_in_no_file_two_days_later(
    story: Story, centre: CentreProcess
) -> None:
    story.sale("lin", "sale-1")
    till = story.running.agent.till
    (sealed,) = till.loop.ask(lambda: _sealed(till._journal)).result(10)
    assert sealed in _all_bytes(story.files)

    story.days_pass(33)
    story.is_reviewed()
    assert sealed not in (story.files / "journal.db").read_bytes()
    assert sealed not in (story.files / "journal.db-wal").read_bytes()
    _copies_are_made_anew(story)

    assert sealed not in _all_bytes(story.files)


def _sealed(journal: Any) -> list[bytes]:  # noqa: ANN401 - what lies beneath the port
    rows = journal._connection.execute("SELECT sealed FROM finished").fetchall()
    return [each for (each,) in rows]


def _all_bytes(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir() if file.is_file())


def _copies_are_made_anew(story: Story) -> None:
    """Two more, each in its turn."""
    till = story.running.agent.till
    for _ in range(2):
        before = _made(story.files)
        till.loop.ask(till.custody.backups.make).result(10)
        wait_until(lambda before=before: _made(story.files) != before)  # type: ignore[misc]


def _made(folder: Path) -> int:
    newest = folder / "journal.backup.db"
    return newest.stat().st_ino if newest.exists() else 0
