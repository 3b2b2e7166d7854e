"""A transaction whose client has gone: kept, or cancelled where the client has asked so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from plugin.activation.region import Clocks
from plugin.agent.attendance import LOSS_MS
from plugin.api.requests import StartTransaction
from simulator.reader import InProcessDesk
from tests.agents import PHARMACY, Pos, Running, running
from tests.api.test_events import following
from tests.api.test_requests import assert_problem
from tests.centre import CentreProcess
from tests.scenario.counter import Counter
from tests.scenario.test_retention import Traveller
from tests.waiting import wait_until

LOSS = LOSS_MS // 1000
PATIENT = Clocks(card=9_999, confirm=9_999)
CANCEL = {"on_client_loss": "cancel"}


@pytest.fixture
def clock() -> Traveller:
    return Traveller()


@pytest.fixture
def agent(
    tmp_path: Path, centre: CentreProcess, hand: InProcessDesk, clock: Traveller
) -> Iterator[Running]:
    with running(
        tmp_path,
        centre.address,
        {"inprocess": hand},
        hand,
        institution=PHARMACY,
        clocks=PATIENT,
        clock=clock,
    ) as started:
        yield started


@pytest.fixture
def beside(agent: Running) -> Pos:
    """Another client, which looks without being there for the first."""
    return Pos(agent.port, agent.folder.pair("console", ("read", "operate")))


Passes = Callable[[int], None]


@pytest.fixture
def passes(clock: Traveller, beside: Pos) -> Passes:
    """So many seconds go by, and everything that is due then is done."""

    def pass_by(seconds: int) -> None:
        clock.lived += seconds
        for _ in range(3):  # the deciding thread has seen the time, and the timers
            beside.request("GET", "/v1/readers")

    return pass_by


def state(beside: Pos, transaction: str) -> str:
    return beside.kaqi.get(transaction).state


def test_a_lost_client_costs_nothing_unless_it_has_asked_for_that(
    pos: Pos, beside: Pos, passes: Passes
) -> None:
    begun = pos.start("pharmacy", {"on_client_loss": "keep"}).body["id"]

    passes(100 * LOSS)

    assert state(beside, begun) == "waiting_card"


@pytest.mark.parametrize("kind", ["activation", "dry_run"])
def test_a_lost_clients_transaction_is_cancelled_and_says_why(
    pos: Pos, beside: Pos, passes: Passes, kind: str
) -> None:
    begun = pos.start("pharmacy", {**CANCEL, "kind": kind}).body["id"]

    passes(LOSS - 2)
    before = state(beside, begun)
    passes(3)
    ended = beside.kaqi.get(begun)

    assert (before, ended.state) == ("waiting_card", "cancelled")
    assert [each["code"] for each in ended.data["notices"]] == [
        "transaction.client_lost"
    ]
    assert pos.start("pharmacy").status == 202  # its readers are free


def test_who_asks_now_and_then_is_not_lost(
    pos: Pos, beside: Pos, passes: Passes
) -> None:
    begun = pos.start("pharmacy", CANCEL).body["id"]

    for _ in range(4):
        passes(LOSS - 2)
        assert state(pos, begun) == "waiting_card"
    passes(LOSS + 1)

    assert state(beside, begun) == "cancelled"


def test_who_waits_for_an_answer_is_not_lost(
    pos: Pos, beside: Pos, passes: Passes, agent: Running
) -> None:
    begun = pos.start("pharmacy", CANCEL).body
    path = f"/v1/transactions/{begun['id']}?wait=100&after_seq={begun['seq']}"

    with ThreadPoolExecutor(1) as aside:
        polling = aside.submit(lambda: pos.request("GET", path))
        wait_until(lambda: lost_in(agent, begun["id"]) > LOSS_MS)  # it waits
        passes(100)
        waiting = state(beside, begun["id"])
        passes(LOSS + 1)
        ended = polling.result()

    assert waiting == "waiting_card"
    assert ended.body["state"] == "cancelled"


def lost_in(agent: Running, transaction: str) -> float:
    """In how many milliseconds its client is lost."""
    loop, attendance = agent.agent.till.loop, agent.agent.till.service._attendance
    return loop.ask(lambda: attendance.lost_in(transaction, loop.ticks())).result()


def test_who_follows_the_events_is_not_lost(
    pos: Pos, beside: Pos, passes: Passes
) -> None:
    begun = pos.start("pharmacy", CANCEL).body["id"]
    with following(pos) as stream:
        next(stream.events())
        passes(10 * LOSS)
        followed = state(beside, begun)

    def cancelled() -> bool:
        passes(LOSS + 1)  # after the agent has seen that the stream has ended
        return state(beside, begun) == "cancelled"

    assert followed == "waiting_card"
    wait_until(cancelled)


def test_nothing_is_cancelled_that_the_centre_may_have(
    pos: Pos, beside: Pos, passes: Passes, counter: Counter, centre: CentreProcess
) -> None:
    centre.misbehave("silence", "activations", seconds=9)
    begun = two_cards_of(counter)
    counter.confirm()
    counter.reaches("committing")

    passes(2 * LOSS)
    committing = state(beside, begun)
    centre.let_go()

    assert committing in ("committing", "in_doubt", "succeeded")
    wait_until(lambda: state(beside, begun) == "succeeded")
    assert len(centre.effects) == 1


def two_cards_of(counter: Counter) -> str:
    """Cards of one person, of a transaction that is cancelled when its client is lost."""
    begun = counter.start("pharmacy", **CANCEL)
    counter.put("lin.medical", 0)
    counter.reaches("waiting_card.social_security")
    counter.put("lin.social_security", 1)
    counter.reaches("waiting_confirm")
    return begun.id


def test_a_loss_before_the_commit_sends_nothing(
    beside: Pos, passes: Passes, counter: Counter, centre: CentreProcess
) -> None:
    begun = two_cards_of(counter)

    passes(2 * LOSS)  # its last question may have waited for some seconds

    assert state(beside, begun) == "cancelled"
    assert centre.messages == []


def test_another_word_is_refused(pos: Pos) -> None:
    answer = pos.start("pharmacy", {"on_client_loss": "perhaps"})

    assert_problem(answer, 400, "request.invalid")


def test_what_was_asked_before_this_could_be_said_is_still_the_same_request() -> None:
    order = StartTransaction(kind="activation", scenario="pharmacy")

    assert msgspec.json.encode(order.lasting) == (
        b'{"kind":"activation","scenario":"pharmacy","pos_ref":null,'
        b'"operator_ref":null,"readers":null}'
    )
