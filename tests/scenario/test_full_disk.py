"""A disk that fills: nothing new begins, what runs ends, and it goes on by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from plugin.agent import custody, space
from plugin.agent.space import MIB, Space
from simulator.reader import InProcessDesk
from tests.agents import Running, running
from tests.centre import CentreProcess
from tests.scenario.counter import Counter
from tests.waiting import wait_until


class FillingDisk(Space):
    """The folder's disk, with as much room as the test says."""

    left = 10_000 * MIB

    @property
    def free(self) -> int:
        return self.left


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FillingDisk:
    monkeypatch.setattr(space, "BALLAST", MIB)
    monkeypatch.setattr(custody, "SPACE_MS", 100)
    return FillingDisk(tmp_path, ballast=True)


@pytest.fixture
def agent(
    tmp_path: Path, centre: CentreProcess, disk: FillingDisk
) -> Iterator[tuple[Running, InProcessDesk]]:
    hand = InProcessDesk()
    readers = {"inprocess": hand}
    with running(tmp_path, centre.address, readers, hand, space=disk) as started:
        yield started, hand


def test_nothing_begins_and_what_has_begun_ends(
    counter: Counter, disk: FillingDisk, tmp_path: Path
) -> None:
    wait_until((tmp_path / "ballast").exists)
    counter.start("pharmacy")
    counter.put("lin.medical", 0)
    counter.reaches("waiting_card.social_security")

    disk.left = 10 * MIB

    wait_until(lambda: not (tmp_path / "ballast").exists())  # its room is for this
    counter.put("lin.social_security", 1)
    counter.reaches("waiting_confirm")
    counter.confirm()
    assert counter.reaches("succeeded").outcome == "activated"
    refused = counter.pos.start("pharmacy")
    assert (refused.status, refused.code) == (507, "agent.disk_full")
    assert "10 MiB" in refused.body["messages"]["zh-CN"]

    disk.left = 10_000 * MIB

    assert counter.start("pharmacy").state in ("waiting_card", "waiting_removal")


def test_a_dry_run_writes_nothing_and_needs_no_room(
    counter: Counter, disk: FillingDisk
) -> None:
    disk.left = 0

    assert counter.start("pharmacy", kind="dry_run").state == "waiting_card"


@pytest.mark.parametrize(
    ("left", "ok", "code"),
    [
        (10_000, True, None),
        (150, True, "agent.disk_low"),
        (63, False, "agent.disk_full"),
    ],
)
def test_readiness_says_how_much_is_left(
    counter: Counter, disk: FillingDisk, left: int, ok: bool, code: str | None
) -> None:
    disk.left = left * MIB

    checks = counter.pos.request("GET", "/readyz").body["checks"]

    (found,) = [each for each in checks if each["name"] == "disk"]
    problem = found["problem"]
    assert (problem["code"] if problem else None) == code
    assert (found["ok"] or not found["required"]) is ok


def test_a_disk_that_is_nearly_full_gets_no_ballast(tmp_path: Path) -> None:
    disk = FillingDisk(tmp_path, ballast=True)
    disk.left = 250 * MIB

    disk.lay_ballast()

    assert not (tmp_path / "ballast").exists()
    assert not disk.drop_ballast()


def test_the_ballast_takes_the_room_it_will_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(space, "BALLAST", MIB)
    real = Space(tmp_path, ballast=True)

    real.lay_ballast()
    real.lay_ballast()

    assert (tmp_path / "ballast").stat().st_size == MIB
    assert real.drop_ballast()
    assert real.free > 0
    assert not real.is_short
