"""What tells the moments of one state apart."""

from __future__ import annotations

import pytest

from plugin.activation import desk, moments
from plugin.activation.desk import Outcome, Slot
from plugin.activation.pins import Entry, Wanted
from plugin.activation.problem import Problem
from plugin.activation.region import Role

SLOT = Slot("r1", "a")
OLD = Wanted(role=Role.MEDICAL, entry=Entry.VERIFY)
NEW = Wanted(role=Role.SOCIAL_SECURITY, entry=Entry.NEW)
OLD_THERE = Wanted(role=Role.MEDICAL, entry=Entry.VERIFY, on_reader=True)
NEW_THERE = Wanted(role=Role.SOCIAL_SECURITY, entry=Entry.NEW, on_reader=True)


@pytest.mark.parametrize(
    ("state", "problem", "detail"),
    [
        (desk.WaitingCard(Role.MEDICAL), None, "medical"),
        (desk.Reading(Role.SOCIAL_SECURITY, SLOT), None, "social_security"),
        (desk.WaitingRemoval(None), None, None),
        (desk.WaitingPin(OLD, SLOT), None, "medical"),
        (desk.WaitingPin(NEW, SLOT), None, "social_security.new"),
        (desk.WaitingPin(OLD_THERE, SLOT), None, "medical.reader"),
        (desk.PinAtWork(NEW, SLOT), None, "at_work"),
        (desk.PinAtWork(OLD_THERE, SLOT), None, "medical.reader"),
        (desk.PinAtWork(NEW_THERE, SLOT), None, "social_security.new.reader"),
        (desk.PinAtWork(OLD_THERE, SLOT, counting=True), None, "at_work"),
        (desk.Succeeded(Outcome.ACTIVATED), None, "activated"),
        (desk.InDoubt(), None, None),
        (desk.InDoubt(), Problem("card.must_return"), "card_must_return"),
        (desk.InDoubt(), Problem("activation.needs_a_person"), "needs_a_person"),
        (desk.InDoubt(), Problem("elsewhere.unheard_of"), None),
        (desk.Committing(), Problem("card.lost"), None),
        (desk.Failed(Problem("card.lost")), None, None),
        (desk.Failed(Problem("agent.restarted")), None, "begin_again"),
        (desk.Failed(Problem("agent.restarted_at_card")), None, "begin_again"),
    ],
)
def test_each_moment_has_its_name(
    state: desk.State, problem: Problem | None, detail: str | None
) -> None:
    assert moments.detail(state, problem) == detail


def test_a_moment_without_details_is_its_state() -> None:
    assert moments.key("checking", None) == "checking"
    assert moments.key("waiting_card", "medical") == "waiting_card.medical"
