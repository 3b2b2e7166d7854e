"""Somebody wants the centre asked now: it is, once, under the same id, and never while it is
known to be down."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plugin.activation.saga import ActivationState
from plugin.agent.valve import OPEN_MS
from plugin.centre.port import Patience
from tests.centre import CentreProcess
from tests.contract.dialects import DIALECTS, A, D, Dialect
from tests.contract.test_recovery import one_id
from tests.contract.till import EXCHANGE, HOUR, MINUTE, SECOND, Till

NO_PATIENCE = Patience(connect=1, read=0.02, total=0.04)


def till_at(dialect: Dialect, centre: CentreProcess) -> Iterator[Till]:
    adapter = dialect.at(centre.address)
    yield Till(adapter, centre.let_arrive)
    adapter.close()


@pytest.fixture
def till(centre: CentreProcess) -> Iterator[Till]:
    """A centre that can be asked."""
    yield from till_at(A, centre)


@pytest.fixture
def by_hand(centre: CentreProcess) -> Iterator[Till]:
    """A centre that cannot, and that nothing may be sent to twice."""
    yield from till_at(D, centre)


def in_doubt(till: Till, centre: CentreProcess, since: int) -> None:
    """No answer for so long."""
    centre.misbehave("redirect")
    till.begin("first")
    till.run(since)
    assert till.record("first").state is ActivationState.UNKNOWN


def test_who_asks_now_need_not_wait_for_the_next_turn(
    till: Till, centre: CentreProcess
) -> None:
    in_doubt(till, centre, HOUR)
    centre.behave()
    before = len(till.asked)

    till.activations.ask_now("first")
    till.run(HOUR + 3 * EXCHANGE)  # asked, not known there, sent, active

    assert till.asked[before:] == [HOUR]
    assert till.record("first").state is ActivationState.ACTIVE
    assert (len(centre.effects), one_id(till, centre)) == (1, True)


def test_however_often_somebody_asks_one_question_goes_out(
    till: Till, centre: CentreProcess
) -> None:
    in_doubt(till, centre, SECOND)
    before = len(till.asked)

    for _ in range(50):
        till.activations.ask_now("first")
    till.run(SECOND + EXCHANGE // 2)

    assert till.asked[before:] == [SECOND]


def test_asking_now_does_not_make_the_till_ask_more_often_ever_after(
    till: Till, centre: CentreProcess
) -> None:
    in_doubt(till, centre, HOUR)

    for minute in range(1, 31):
        till.activations.ask_now("first")
        till.run(HOUR + minute * MINUTE)
    asked = len(till.asked)
    till.run(5 * HOUR)

    assert 50 <= len(till.asked) - asked <= 120  # 3.5 hours, 150 s on average


def test_while_the_centre_is_down_nobody_has_it_asked(
    till: Till, centre: CentreProcess
) -> None:
    in_doubt(till, centre, SECOND)
    now = SECOND
    while now < 25 * SECOND:  # five failures, and the breaker opens
        till.activations.ask_now("first")
        now += SECOND
        till.run(now)
    asked, last = len(till.asked), till.asked[-1]

    while now < last + OPEN_MS - SECOND:
        till.activations.ask_now("first")
        now += SECOND
        till.run(now)

    assert len(till.asked) == asked
    till.run(last + 2 * OPEN_MS)
    assert len(till.asked) > asked


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
def test_every_class_of_centre_ends_as_it_does_without_asking(
    dialect: Dialect, centre: CentreProcess
) -> None:
    for till in till_at(dialect, centre):
        centre.misbehave("lose_answer", times=2)
        till.begin("first")
        for second in range(1, 300):
            till.activations.ask_now("first")
            till.run(second * SECOND)

        manual = dialect is D
        record = till.record("first")
        assert record.state is (
            ActivationState.MANUAL if manual else ActivationState.ACTIVE
        )
        assert till.activations.can_be_asked(record) is False
        assert (len(centre.effects), one_id(till, centre)) == (1, True)
        assert len(till.sent) <= 3


def test_what_only_a_person_can_find_out_is_not_asked(
    by_hand: Till, centre: CentreProcess
) -> None:
    centre.misbehave("lose_answer")
    by_hand.begin("first")
    by_hand.run(MINUTE)
    record = by_hand.record("first")

    by_hand.activations.ask_now("first")
    by_hand.run(HOUR)

    assert record.state is ActivationState.MANUAL
    assert not by_hand.activations.can_be_asked(record)
    assert (len(by_hand.sent), by_hand.asked) == (1, [])
