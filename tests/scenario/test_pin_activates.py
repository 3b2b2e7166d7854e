"""A region where the change of the initial PIN is the activation: the card alone knows
whether it has happened, and tells it when it returns."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugin.client import Transaction
from simulator.card.engine import CardEngine
from simulator.people import engine
from simulator.scenario import ScriptedCard
from tests.agents import Pos, describe
from tests.centre import CentreProcess
from tests.scenario.counter import Counter
from tests.scenario.regions import counter_in

REGION = "v5-initial-pin"
INITIAL, NEW, WRONG = "123456", "246813", "654321"
READ, IDENTIFY = 16, 3
CHANGE = READ + 2 * (IDENTIFY + 1)  # the number of the command that changes the PIN


@pytest.fixture
def desk(tmp_path: Path, centre: CentreProcess) -> Iterator[Counter]:
    with counter_in(REGION, tmp_path, centre) as counter:
        yield counter


def begins(counter: Counter, card: CardEngine | ScriptedCard) -> None:
    """Up to the PIN."""
    counter.start("outpatient_registration")
    counter.put(card)
    counter.reaches("waiting_confirm", "succeeded", "failed")
    if counter.now.state == "waiting_confirm":
        counter.confirm()
        counter.reaches("waiting_pin.social_security")


def types(
    counter: Counter, pin: str, new_pin: str | None, *reaches: str
) -> Transaction:
    counter.now = counter.pos.kaqi.pin(counter.now, pin, new_pin)
    return counter.reaches(*reaches)


def activates(counter: Counter) -> Transaction:
    """The initial PIN, and a new one."""
    types(counter, INITIAL, None, "waiting_pin.social_security.new")
    return types(
        counter, INITIAL, NEW, "succeeded", "waiting_card.social_security", "in_doubt"
    )


def durable(counter: Counter, transaction: Transaction) -> str:
    listed = counter.pos.request("GET", "/v1/activations").body["activations"]
    found = next(each for each in listed if each["transaction"] == transaction.id)
    return str(found["state"])


def tears(counter: Counter, *, done: bool) -> tuple[CardEngine, Transaction]:
    """The card is pulled while it takes the new PIN, and its holder leaves."""
    lin = engine("lin.social_security")
    fate = ScriptedCard(
        lin, lose_at=CHANGE if done else None, pull_at=None if done else CHANGE
    )
    begins(counter, fate)
    activates(counter)
    assert counter.code == "pin.change_unknown"
    counter.now = counter.pos.kaqi.cancel(counter.now)
    return lin, counter.now


def test_the_change_is_the_activation(desk: Counter, centre: CentreProcess) -> None:
    lin = engine("lin.social_security")
    begins(desk, lin)

    ended = activates(desk)

    assert ended.outcome == "activated"
    assert ended.data["result"]["confirmation"]["by"] == "pin_change"
    assert ended.receipt("zh-CN")
    assert durable(desk, ended) == "ACTIVE"
    assert lin.counters.changes == 1
    assert "activations" not in centre.received

    desk.take()
    begins(desk, lin)
    assert desk.now.outcome == "already_active"  # and nobody is asked for a PIN


def test_a_card_with_its_holders_pin_was_active_before(desk: Counter) -> None:
    lin = engine("lin.social_security")
    lin.process(bytes.fromhex("805E010007123456FF246813"))
    begins(desk, lin)

    ended = types(desk, NEW, None, "succeeded")

    assert ended.outcome == "already_active"


def test_a_lost_card_is_refused_although_it_was_activated_here(
    desk: Counter, centre: CentreProcess
) -> None:
    lin = engine("lin.social_security")
    begins(desk, lin)
    activates(desk)
    desk.take()
    centre.set_standing("lin", "lost")

    begins(desk, lin)

    assert desk.code == "card.lost"


@pytest.mark.parametrize("done", [True, False])
def test_who_leaves_with_a_torn_card_leaves_in_doubt_until_the_card_returns(
    desk: Counter,
    done: bool,
) -> None:
    lin, left = tears(desk, done=done)

    assert (left.state, desk.code) == ("in_doubt", "card.must_return")
    assert left.data["step"]["key"] == "in_doubt.card_must_return"
    assert durable(desk, left) == "UNKNOWN"
    assert left.data["commit"] == "unknown"

    begins(desk, lin)
    assert desk.code == "pin.change_unknown"
    if done:
        types(desk, NEW, None, "succeeded")
    else:
        types(desk, NEW, None, "waiting_pin.social_security")
        desk.says("pin.try_the_old")
        types(desk, INITIAL, None, "waiting_pin.social_security.new")
        types(desk, INITIAL, NEW, "succeeded")

    assert desk.now.outcome == "activated"
    first = desk.pos.until(desk.pos.kaqi.get(left.id), "succeeded")
    assert first.outcome == "activated"
    assert durable(desk, left) == "ACTIVE"
    assert lin.counters.changes == 1
    listed = desk.pos.request("GET", "/v1/activations").body["activations"]
    assert [each["state"] for each in listed].count("ACTIVE") == 1


def test_a_card_that_returns_and_leaves_again_stays_in_doubt(desk: Counter) -> None:
    lin, left = tears(desk, done=True)

    begins(desk, lin)
    types(desk, WRONG, None, "waiting_pin.social_security")
    desk.says("pin.try_the_old")
    desk.now = desk.pos.kaqi.cancel(desk.now)

    assert durable(desk, left) == "UNKNOWN"
    desk.take()
    begins(desk, lin)
    types(desk, NEW, None, "succeeded")
    assert durable(desk, left) == "ACTIVE"


def test_another_card_inherits_nothing(desk: Counter) -> None:
    _, left = tears(desk, done=True)

    begins(desk, engine("he.social_security"))
    assert desk.code is None
    assert activates(desk).outcome == "activated"

    assert durable(desk, left) == "UNKNOWN"


def test_the_centre_may_know_it_before_the_card_returns(
    desk: Counter, centre: CentreProcess
) -> None:
    lin, left = tears(desk, done=True)
    centre.set_standing("lin", "active")

    begins(desk, lin)

    assert desk.now.outcome == "already_active"
    assert durable(desk, left) == "ACTIVE"


def test_nobody_waits_for_a_card_that_does_not_return(desk: Counter) -> None:
    _, left = tears(desk, done=True)

    begins(desk, engine("he.social_security"))

    assert desk.now.state == "waiting_pin"
    assert desk.pos.kaqi.get(left.id).state == "in_doubt"


@pytest.mark.parametrize("done", [True, False])
def test_killed_while_the_card_takes_its_pin_the_card_must_return(
    tmp_path: Path,
    centre: CentreProcess,
    done: bool,
) -> None:
    command = (sys.executable, "-m", "tests.halting_agent")
    with subprocess.Popen(
        (*command, str(tmp_path), centre.address, str(CHANGE), REGION),
        stdout=subprocess.PIPE,
        text=True,
    ) as agent:
        assert agent.stdout is not None
        port, token = agent.stdout.readline().split()
        pos = Pos(int(port), token)
        begun = pos.kaqi.start("outpatient_registration")
        begun = pos.kaqi.confirm(pos.until(begun, "waiting_confirm"))
        begun = pos.until(begun, lambda now: now.pin_wanted is not None)
        begun = pos.kaqi.pin(begun, INITIAL)
        new = "waiting_pin.social_security.new"
        begun = pos.until(begun, lambda now: now.data["step"]["key"] == new)
        pos.kaqi.pin(begun, INITIAL, NEW)
        assert agent.stdout.readline() == "asked\n"
        agent.kill()
    lin = engine("lin.social_security")
    if done:
        lin.process(bytes.fromhex("805E010007123456FF246813"))

    with counter_in(REGION, tmp_path, centre) as counter:
        before = counter.pos.kaqi.get(begun.id)
        assert before.state == "in_doubt", describe(before)
        assert before.problem is not None
        assert before.problem["code"] == "card.must_return"

        begins(counter, lin)
        if done:
            types(counter, NEW, None, "succeeded")
        else:
            types(counter, NEW, None, "waiting_pin.social_security")
            counter.says("pin.try_the_old")
            types(counter, INITIAL, None, "waiting_pin.social_security.new")
            types(counter, INITIAL, NEW, "succeeded")

        assert counter.pos.kaqi.get(begun.id).outcome == "activated"
        assert lin.counters.changes == 1
