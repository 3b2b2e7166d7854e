"""The process itself: killed, ended, stopped, stalled, started twice, and with no memory
left."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

from tests.agents import AgentProcess
from tests.centre import CentreProcess
from tests.chaos.sale import Agent, World
from tests.chaos.worlds import BY_NAME
from tests.faults.places import (
    STANDS,
    Place,
    Visit,
    every_place,
    standing,
)

STOPPED_SECONDS = 1.0
LEAVES_IN = 2.5  # seconds


def an_agent(place: Place, folder: Path, centre: CentreProcess) -> Agent:
    """A process of its own, whose cards outlive it."""
    world = World(name="", region=place.region(folder), ends=BY_NAME["visit"].ends)
    return Agent(folder / "agent", centre, world)


@every_place
def test_it_is_killed_and_started_again(
    tmp_path: Path, centre: CentreProcess, place: Place
) -> None:
    with an_agent(place, tmp_path, centre) as agent:
        visit = Visit(agent.pos, centre)
        place.arrive(visit)

        agent.kill()
        centre.let_go()
        agent.start()
        visit.pos = agent.pos

        assert visit.ends(place.restarted) == STANDS[place.restarted]


@every_place
def test_it_is_ended_politely_and_started_again(
    tmp_path: Path, centre: CentreProcess, place: Place
) -> None:
    settings = place.settings(tmp_path)
    data = tmp_path / "data"
    with AgentProcess(data, centre.address, "--settings", settings) as agent:
        visit = Visit(agent.pos, centre)
        place.arrive(visit)

        began = time.monotonic()
        code = agent.stop()
        took = time.monotonic() - began
        centre.let_go()
        visit.pos = agent.start()

        assert (code, took < LEAVES_IN) == (0, True)
        assert visit.ends(place.restarted) == STANDS[place.restarted]


@every_place
def test_it_stands_still_for_a_while(
    tmp_path: Path, centre: CentreProcess, place: Place
) -> None:
    with an_agent(place, tmp_path, centre) as agent:
        visit = Visit(agent.pos, centre)
        place.arrive(visit)

        os.kill(agent.process.pid, signal.SIGSTOP)
        threading.Event().wait(STOPPED_SECONDS)
        os.kill(agent.process.pid, signal.SIGCONT)
        place.go_on(visit)

        assert visit.ends(place.ends) == STANDS[place.ends]


@every_place
def test_nothing_is_decided_for_a_while(
    tmp_path: Path, centre: CentreProcess, place: Place
) -> None:
    with standing(place, tmp_path, centre) as visit:
        over = threading.Event()
        visit.till.loop.post(lambda: _stand_still(over))

        place.go_on(visit)

        assert visit.ends(place.ends) == STANDS[place.ends]
        assert over.is_set()


def _stand_still(over: threading.Event) -> None:
    threading.Event().wait(STOPPED_SECONDS)
    over.set()


@every_place
def test_another_agent_cannot_have_the_journal(
    tmp_path: Path, centre: CentreProcess, place: Place
) -> None:
    with standing(place, tmp_path, centre) as visit:
        folder = visit.agent.folder

        with pytest.raises(JournalInUseError):
            SqliteJournal(folder.journal, folder.keys())
        place.go_on(visit)

        assert visit.ends(place.ends) == STANDS[place.ends]


# No memory


ANSWERS = {
    State.RECEIVED: "card_status",
    State.SENDING: "activate",
    State.UNKNOWN: "activation_status",
}


@places(*ANSWERS)
def test_there_is_no_memory_for_the_centres_answer(
    tmp_path: Path, centre: CentreProcess, place: Place
) -> None:
    with standing(place, tmp_path, centre, arrived=False) as visit:
        name = ANSWERS[place.state]
        failed = _without_memory(visit.till.centre, name, lambda: visit.record["state"])
        if place.state is not State.UNKNOWN:
            centre.misbehave("lose_answer", "nothing")
        visit.begin()
        visit.put()

        visit.reaches("succeeded")
        assert failed == [place.state]
        assert visit.ends(State.ACTIVE) == STANDS[State.ACTIVE]
