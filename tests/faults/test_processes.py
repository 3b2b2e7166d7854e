"""The process itself: killed, ended, stopped, stalled, started twice, and with no memory
left."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from plugin.activation.saga import CRASHES_MAX, Activation, CardAsked, CardStep
from plugin.journal.memory import MemoryJournal
from plugin.journal.port import JournalInUseError
from plugin.journal.sqlite import SqliteJournal
from simulator.scenario import Card, ScriptedCard
from tests.agents import AgentProcess
from tests.centre import CentreProcess
from tests.chaos.sale import Agent, World
from tests.chaos.worlds import BY_NAME
from tests.contract.dialects import A
from tests.contract.till import EXCHANGE, Till
from tests.faults.clock import SetClock
from tests.faults.places import (
    BY_STATE,
    NEW,
    STANDS,
    Place,
    State,
    Visit,
    every_place,
    places,
    standing,
)
from tests.waiting import wait_until

STOPPED_SECONDS = 1.0
LEAVES_IN = 2.5  # seconds
A_DAY, AN_HOUR = timedelta(hours=25), timedelta(hours=1)
NOT_SENT = (State.RECEIVED, State.CARD_STEPS)
IN_DOUBT = (State.SENDING, State.UNKNOWN, State.MANUAL)


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


class Forgetful:
    """A call that has no memory for what it was answered, the first time."""

    def __init__(self, call: Callable[..., object]) -> None:
        self._call = call
        self.failed = 0

    def __call__(self, *said: object) -> object:
        answer = self._call(*said)
        if not self.failed:
            self.failed += 1
            raise MemoryError
        return answer


@places(State.SENDING, State.UNKNOWN)
def test_there_is_no_memory_for_the_centres_answer(
    tmp_path: Path, centre: CentreProcess, place: Place
) -> None:
    with standing(place, tmp_path, centre, arrived=False) as visit:
        adapter = visit.till.centre
        name = "activate" if place.state is State.SENDING else "activation_status"
        forgetful = Forgetful(getattr(adapter, name))
        setattr(adapter, name, forgetful)
        if place.state is State.UNKNOWN:
            centre.misbehave("lose_answer", "activations", times=1)
        visit.begin()
        visit.put()

        ended = visit.ends(State.ACTIVE)

        assert (forgetful.failed, ended) == (1, STANDS[State.ACTIVE])


def test_there_is_no_memory_while_a_person_is_waited_for(
    tmp_path: Path, centre: CentreProcess
) -> None:
    clock, place = SetClock(), BY_STATE[State.UNKNOWN]
    with standing(place, tmp_path, centre, clock=clock, arrived=False) as visit:
        adapter = visit.till.centre
        centre.misbehave("lose_answer", "activations", times=1)
        centre.misbehave("lose_request", "activation-status")
        visit.begin()
        visit.put()
        visit.stands_in(State.UNKNOWN)
        clock.sleep(A_DAY)
        visit.stands_in(State.MANUAL)
        centre.behave()
        forgetful = Forgetful(adapter.activation_status)
        setattr(adapter, "activation_status", forgetful)  # noqa: B010 - for mypy
        stood: list[str] = []

        def ended_after_hours() -> bool:
            clock.sleep(AN_HOUR)
            stood.append(visit.record["state"])
            return stood[-1] == State.ACTIVE

        wait_until(ended_after_hours)
        ended = visit.ends(State.ACTIVE)

        assert set(stood) == {State.MANUAL, State.ACTIVE}
        assert (forgetful.failed, ended) == (1, STANDS[State.ACTIVE])


@places(State.RECEIVED, State.CARD_STEPS)
def test_there_is_no_memory_for_the_cards_answer(
    tmp_path: Path, centre: CentreProcess, place: Place
) -> None:
    with standing(place, tmp_path, centre, arrived=False) as visit:
        real = visit.card
        forgetful = NoMemory(real, AT[place.state])
        visit.card = forgetful
        place.arrive(visit)

        place.go_on(visit)
        if place.state is State.CARD_STEPS:  # it was changed, and nobody has heard it
            visit.reaches("waiting_pin.social_security")
            visit.types(NEW)
        else:
            visit.hears("agent.failed")
            visit.take()
            visit.put()

        assert forgetful.failed
        assert visit.ends(State.ACTIVE) == STANDS[State.ACTIVE]


AT = {State.RECEIVED: 5, State.CARD_STEPS: 24}  # while it is read; at the change


class NoMemory(ScriptedCard):
    """A card for whose answer to one command there is no memory."""

    def __init__(self, card: Card, at: int) -> None:
        super().__init__(card)
        self._at = at
        self.failed = False

    def process(self, command: bytes) -> bytes:
        """As the card does, and nobody hears it."""
        answer = super().process(command)
        if self.commands == self._at:
            self.failed = True
            raise MemoryError
        return answer


# A record that the agent dies of


class DiedError(BaseException):
    """The process dies here."""


class DeadlyJournal(MemoryJournal):
    """Its process dies at every save, so many times."""

    deaths = 0

    def save(self, activation: Activation) -> Activation:
        """Unless it dies before."""
        if self.deaths:
            self.deaths -= 1
            raise DiedError
        return super().save(activation)


@pytest.fixture
def till(centre: CentreProcess) -> Iterator[Till]:
    with closing(A.at(centre.address)) as adapter:
        made = Till(adapter, centre.let_arrive)
        made.journal = DeadlyJournal()
        made.restart()
        yield made


@pytest.mark.parametrize("step", [None, CardStep.VERIFYING], ids=NOT_SENT)
def test_a_record_that_was_never_sent_is_given_up_after_any_number_of_deaths(
    till: Till, step: CardStep | None
) -> None:
    till.create("first")
    if step is not None:
        till.activations.happened("first", CardAsked(step))
    stood, journal = till.record("first").state, till.journal
    assert isinstance(journal, DeadlyJournal)
    journal.deaths = CRASHES_MAX

    for _ in range(CRASHES_MAX):
        with pytest.raises(DiedError):
            till.restart()
    till.restart()

    assert stood == (State.CARD_STEPS if step else State.RECEIVED)
    assert till.record("first").state is State.ABANDONED


@pytest.mark.parametrize("state", IN_DOUBT, ids=str)
def test_a_record_that_the_agent_dies_of_again_and_again_is_a_persons(
    till: Till, centre: CentreProcess, state: State
) -> None:
    centre.misbehave("silence", "activations", times=1, seconds=1)
    centre.misbehave("lose_request", "activation-status")
    till.begin("first")
    if state is not State.SENDING:
        till.run(EXCHANGE)
    for _ in range(CRASHES_MAX if state is State.MANUAL else 0):
        till.restart()
    stood = till.record("first").state

    for _ in range(CRASHES_MAX):
        till.restart()
    other = till.begin("second", "he")
    till.run(till.now + EXCHANGE)

    assert stood is state
    assert till.record("first").state is State.MANUAL
    assert till.record(other.origin.intent_id).state is State.ACTIVE
