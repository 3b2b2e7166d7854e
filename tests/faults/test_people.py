"""People: who changes their mind, who goes elsewhere, and who is wrong."""

from __future__ import annotations

from pathlib import Path

from simulator.reader import InProcessDesk
from tests.agents import running
from tests.centre import CentreProcess
from tests.faults.places import (
    BY_STATE,
    HOLDERS,
    PATIENT,
    STANDS,
    Place,
    Standing,
    State,
    every_place,
    standing,
)
from tests.faults.test_cards import at_a_counter, leaves_torn

MANUAL = BY_STATE[State.MANUAL]
NOT_SENT = (State.RECEIVED, State.CARD_STEPS)


@every_place
def test_somebody_cancels(tmp_path: Path, centre: CentreProcess, place: Place) -> None:
    with standing(place, tmp_path, centre) as visit:
        path = f"/v1/transactions/{visit.now.id}/cancel"

        answer = visit.pos.request("POST", path, {}, key="cancel")
        if place.state not in NOT_SENT:
            place.go_on(visit)

        status = 202 if place.state in NOT_SENT else 409
        ends = State.ABANDONED if place.state in NOT_SENT else place.ends
        assert answer.status == status, answer.body
        assert visit.ends(ends) == STANDS[ends]


@every_place
def test_the_card_is_carried_to_another_till(
    tmp_path: Path, centre: CentreProcess, place: Place
) -> None:
    other_hand = InProcessDesk()
    with (
        standing(place, tmp_path, centre) as visit,
        running(
            tmp_path / "other",
            centre.address,
            {"inprocess": other_hand},
            other_hand,
            clocks=PATIENT,
        ) as started,
    ):
        visit.take()
        if place.state is State.CARD_STEPS:
            visit.reaches("waiting_card.social_security")
        other = Standing(started, other_hand, centre)
        other.begin("elsewhere")
        other.put()
        elsewhere = other.reaches("succeeded")
        if place.state is State.CARD_STEPS:
            visit.put()
            visit.reaches("waiting_pin.social_security.new")
        place.go_on(visit)

        assert elsewhere.outcome in ("activated", "already_active")
        visit.stands_in(place.ends)
        assert len(centre.effects) == 1


# Who is wrong about what the centre has done


def doubted(visit: Standing, fault: str) -> None:
    """A class D centre has not answered."""
    visit.centre.misbehave(fault, "enable", times=1)
    visit.begin()
    visit.put()
    visit.reaches("waiting_pin.social_security")
    visit.types(HOLDERS)
    visit.stands_in(State.MANUAL)


def test_a_yes_is_settled_as_a_no(tmp_path: Path, centre: CentreProcess) -> None:
    with standing(MANUAL, tmp_path, centre, arrived=False) as visit:
        doubted(visit, "lose_answer")
        settled = visit.settles("rejected")
        visit.take()
        again = Standing(visit.agent, visit.hand, centre)
        again.begin("again")
        again.put()
        again.reaches("waiting_pin.social_security")
        again.types(HOLDERS)

        told = again.reaches("succeeded")

        assert (settled.status, visit.record["state"]) == (200, State.REJECTED)
        assert told.outcome == "already_active"
        assert len(centre.effects) == 1


def test_a_no_is_settled_as_a_yes(tmp_path: Path, centre: CentreProcess) -> None:
    """This centre cannot be asked: every receipt says that a person has said so."""
    with standing(MANUAL, tmp_path, centre, arrived=False) as visit:
        doubted(visit, "lose_request")
        settled = visit.settles("active")
        visit.take()
        again = Standing(visit.agent, visit.hand, centre)
        again.begin("again")
        again.put()

        told = again.reaches("succeeded")

        assert (settled.status, visit.record["state"]) == (200, State.ACTIVE)
        assert told.outcome == "already_active"
        assert told.data["result"]["confirmation"]["by"] == "person"
        assert centre.effects == []


def test_a_torn_card_is_settled_wrongly(tmp_path: Path, centre: CentreProcess) -> None:
    """It was changed, and somebody says no: when it returns, it says so itself."""
    with at_a_counter(tmp_path, centre) as counter:
        leaves_torn(counter)
        stood = counter.stands
        settled = counter.visit.settles("rejected")

        counter.begin("again", counter.lin)
        ended = counter.goes_on(counter.first)

        assert (stood, settled.body["state"]) == (State.UNKNOWN, State.REJECTED)
        assert ended.state == "succeeded"
        assert counter.stands == State.REJECTED
        assert counter.lin.counters.changes == 1
