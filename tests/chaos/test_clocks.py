"""The wall clock jumps under a whole agent: nothing is repeated, nothing expires and nothing
is lost (reliability, J10, F24, F25)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime
from pathlib import Path

import pytest

from plugin.client import Transaction
from tests.agents import Pos
from tests.centre import CentreProcess
from tests.chaos.sale import Agent, Sale
from tests.chaos.worlds import BY_NAME, ruled
from tests.waiting import WAIT_SECONDS

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
SEEN_AFTER = 1  # second, until the library looks again what time it should be
HALF_AN_HOUR = 1_800
JUMPS = ("+10y", "-10y", "-1h")

pytestmark = pytest.mark.skipif(
    LIBRARY is None, reason="libfaketime is not installed (Debian: faketime)"
)


class Clocked(Agent):
    """An agent whose wall clock somebody sets."""

    def jump(self, offset: str) -> None:
        """From now on its wall clock is wrong by so much."""
        written = self.folder / "clock.new"
        written.write_text(offset)
        written.replace(self.folder / "clock")
        threading.Event().wait(SEEN_AFTER + 1.2)  # it counts in whole seconds

    def start(self) -> None:
        """A process that has the library from its beginning."""
        clock = self.folder / "clock"
        if not clock.exists():
            clock.write_text("+0")
        faked = {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_CACHE_DURATION": str(SEEN_AFTER),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        said = (str(self.folder), self.centre.address)
        self.process = subprocess.Popen(
            (
                *(sys.executable, "-m", "tests.chaos.agent"),
                *(*said, self.world.region, self.world.kind),
            ),
            env={**os.environ, **faked},
            stdout=subprocess.PIPE,
            text=True,
        )
        port, token = self.process.stdout.readline().split()
        self.pos = Pos(int(port), token)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate(timeout=WAIT_SECONDS)

    def seconds_wrong(self) -> float:
        """How far its clock was from ours when it last wrote a record."""
        listed = self.pos.request("GET", "/v1/activations").body["activations"]
        written = datetime.fromisoformat(listed[0]["changed_at"])
        return abs(written.timestamp() - time.time())


@pytest.mark.parametrize("offset", JUMPS)
def test_the_clock_jumps_while_an_answer_is_awaited(
    tmp_path: Path, centre: CentreProcess, offset: str
) -> None:
    world = BY_NAME["lost-answer"]
    ruled(world, centre)
    centre.misbehave("lose_request", "activation-status", times=2)
    jumped: list[str] = []

    def jump(now: Transaction) -> None:
        if now.state == "in_doubt" and not jumped:
            agent.jump(offset)
            jumped.append(now.id)

    with Clocked(tmp_path, centre, world) as agent:
        sale = Sale(agent, jump)

        assert sale.run() == world.ends
        assert jumped
        assert agent.seconds_wrong() > HALF_AN_HOUR
        assert {each["activation_id"] for each in centre.messages} == {
            centre.effects[0]["activation_id"]
        }
        assert centre.received["activation-status"] == 3
        agent.kill()
        agent.start()
        assert sale.end(sale.begun_with_the_last_key()) == world.ends
        sale.take()
        next_one = Sale(agent)
        next_one.person = "he"
        assert next_one.sold("next").outcome == "activated"
        assert len(centre.effects) == 2


@pytest.mark.parametrize("offset", JUMPS)
def test_the_clock_jumps_while_people_are_waited_for(
    tmp_path: Path, centre: CentreProcess, offset: str
) -> None:
    world = BY_NAME["pharmacy"]
    waits = {"waiting_card", "waiting_confirm"}
    seen: list[str] = []

    def jump(now: Transaction) -> None:
        if now.state in waits:
            agent.jump(offset if len(seen) % 2 == 0 else "+0")
            seen.append(now.state)

    with Clocked(tmp_path, centre, world) as agent:
        sale = Sale(agent, jump)

        assert sale.run() == world.ends
        assert set(seen) == waits
        assert len(sale.begun) == 1


def test_the_clock_really_jumps(tmp_path: Path, centre: CentreProcess) -> None:
    world = BY_NAME["registration"]
    with Clocked(tmp_path, centre, world) as agent:
        agent.jump("+10y")

        Sale(agent).run()

        assert agent.seconds_wrong() > HALF_AN_HOUR
