"""The centre misbehaves towards a whole agent, which is also killed with the answer in its
hand: one effect, one id, and an end that the centre's class allows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec import Struct
from msgspec.structs import replace

from tests.centre import CentreProcess
from tests.chaos.sale import Agent, Sale
from tests.chaos.worlds import BY_NAME, NEEDS_A_PERSON

KILLS = [None, "send.decided/after:1"]
if "KAQI_KILLS" in os.environ:
    KILLS += ["send.handed/before:1", "send/before:1", "send/after:1"]
LATE_SECONDS = 1.0


class Order(Struct, frozen=True):
    """One order to the centre, about the message or about a question."""

    fault: str
    times: int = 1
    question: bool = False
    seconds: float = 1.0


NO_ANSWER = {
    "lost": (Order("lose_request"),),
    "answer lost": (Order("lose_answer"),),
    "late": (Order("late", seconds=LATE_SECONDS),),
    "silent": (Order("silence", seconds=3.0),),
    "truncated": (Order("truncate"),),
    "for another": (Order("wrong_echo"),),
    "500 after the effect": (Order("error_after_effect"),),
    "not the centre": (Order("nonsense"),),
}
ANSWERED = {"duplicated": (Order("duplicate"),)}
OF_QUESTIONS = {
    "a stale site": (Order("lose_answer"), Order("stale", 2, question=True)),
    "a stale site, late": (
        Order("late", seconds=LATE_SECONDS),
        Order("stale", 2, question=True),
    ),
    "no question answered": (
        Order("lose_answer"),
        Order("truncate", question=True),
        Order("wrong_echo", question=True),
    ),
}
CLASS_A = {**NO_ANSWER, **ANSWERED, **OF_QUESTIONS}
NOT_DONE = ("lost", "late")


def ordered(centre: CentreProcess, orders: tuple[Order, ...], message: str) -> None:
    for each in orders:
        operation = "activation-status" if each.question else message
        centre.misbehave(each.fault, operation, times=each.times, seconds=each.seconds)


@pytest.mark.parametrize("kill", KILLS)
@pytest.mark.parametrize("fault", CLASS_A)
def test_a_centre_that_knows_ids(
    tmp_path: Path, centre: CentreProcess, fault: str, kill: str | None
) -> None:
    world = BY_NAME["registration"]
    ordered(centre, CLASS_A[fault], "activations")
    with Agent(tmp_path, centre, world, [kill] if kill else []) as agent:
        sale = Sale(agent)

        end = sale.run()
        centre.let_arrive()

        assert end == world.ends
        assert len(centre.effects) == 1
        assert len({each["activation_id"] for each in centre.messages}) == 1
        assert agent.deaths == (kill is not None)


@pytest.mark.parametrize("fault", [*NO_ANSWER, *ANSWERED])
def test_a_centre_that_takes_one_message(
    tmp_path: Path, centre: CentreProcess, fault: str
) -> None:
    world = BY_NAME["class-d"]
    ordered(centre, {**NO_ANSWER, **ANSWERED}[fault], "enable")
    with Agent(tmp_path, centre, world) as agent:
        sale = Sale(agent)

        end = sale.run()
        centre.let_arrive()

        expected = world.ends
        if (
            fault in ANSWERED
        ):  # the second answer says so, and nothing is remembered of ids
            expected = replace(expected, outcome="already_active")
        if fault in NO_ANSWER:
            expected = replace(
                expected,
                state="in_doubt",
                outcome=None,
                problem=NEEDS_A_PERSON,
                records=("MANUAL",),
                effects=int(fault not in NOT_DONE),
            )
        assert end == expected
        assert len(centre.effects) == (fault != "lost")
        assert centre.received["/sscard/enable"] == 1
        agent.kill()
        agent.start()
        assert sale.end(sale.begun_with_the_last_key()).state == end.state
        assert centre.received["/sscard/enable"] == 1
