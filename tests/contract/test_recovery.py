"""Every class of centre and every fault, once and for hours: each activation comes to the end
that its class demands, with one effect at most and under one id."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest

from plugin.activation.saga import ActivationState, Dedupe
from plugin.centre.port import Centre, Patience
from tests.centre import CentreProcess
from tests.contract.dialects import DIALECTS, Dialect, activation_id
from tests.contract.till import HOUR, MINUTE, Till
from tests.waiting import wait_until

OUTAGE = 6 * HOUR
SOON = 15 * MINUTE  # after the faults everything has ended (reliability, A7)
NO_PATIENCE = Patience(connect=1, read=0.02, total=0.04)  # for hours of silence
WITHOUT_EFFECT = ("lose_request", "redirect")
EFFECT_AT_ONCE = (
    "lose_answer",
    "silence",
    "error_after_effect",
    "wrong_echo",
    "truncate",
    "oversized",
    "nonsense",
)
UNANSWERED = ("silence", "slow")
NO_ANSWER = (*WITHOUT_EFFECT, *EFFECT_AT_ONCE, "late", "slow")
SECONDS = {"late": 86_400.0}  # until the till's own time says so
TO_A_PERSON = {Dedupe.NONE}
TWICE_IS_REFUSED = {Dedupe.DUPLICATE_CODE, Dedupe.NONE}


@pytest.fixture(params=DIALECTS, ids=str)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    found: Dialect = request.param
    return found


@pytest.fixture
def till(dialect: Dialect, centre: CentreProcess) -> Iterator[Till]:
    adapter = dialect.at(centre.address)
    yield Till(adapter, centre.let_arrive)
    adapter.close()


@pytest.fixture
def impatient(dialect: Dialect, centre: CentreProcess) -> Iterator[Centre]:
    adapter = dialect.at(centre.address, patience=NO_PATIENCE)
    yield adapter
    adapter.close()


def go_wrong(centre: CentreProcess, fault: str, times: int | None = None) -> None:
    centre.misbehave(fault, seconds=SECONDS.get(fault, 1.0), times=times)


@pytest.mark.parametrize("fault", NO_ANSWER)
def test_one_fault(
    dialect: Dialect, till: Till, impatient: Centre, centre: CentreProcess, fault: str
) -> None:
    go_wrong(centre, fault, times=1)
    patient = till.adapter

    till.adapter = impatient if fault in UNANSWERED else patient
    till.begin("first")
    till.adapter = patient
    till.run(HOUR)

    assert till.sent[0] == 0
    ended_well(dialect, till, centre, fault)


@pytest.mark.parametrize("fault", NO_ANSWER)
def test_an_outage_of_hours(
    dialect: Dialect, till: Till, impatient: Centre, centre: CentreProcess, fault: str
) -> None:
    go_wrong(centre, fault)
    patient, till.adapter = till.adapter, impatient

    till.begin("first")
    till.run(OUTAGE)
    in_doubt, sent = till.record("first").state, list(till.sent)
    second = till.begin("second")
    sent_for_the_second = till.sent[len(sent) :]
    centre.behave()
    till.adapter = patient
    till.run(OUTAGE + SOON)

    assert in_doubt.may_have_been_sent
    assert second.state is ActivationState.ABANDONED
    assert second.superseded_by == "first"
    assert sent_for_the_second == []
    ended_well(dialect, till, centre, fault)


def ended_well(dialect: Dialect, till: Till, centre: CentreProcess, fault: str) -> None:
    """As the class demands, after an answer that was none."""
    record, dedupe = till.record("first"), dialect.profile.abilities.dedupe
    assert one_id(till, centre)
    if dedupe in TO_A_PERSON:
        assert record.state is ActivationState.MANUAL
        assert till.sent == [0]
        wait_until(lambda: len(centre.effects) == (fault not in WITHOUT_EFFECT))
        return
    assert record.state is ActivationState.ACTIVE
    assert len(centre.effects) == 1
    assert record.confirmation is not None
    assert not record.confirmation.adopted
    if dedupe is Dedupe.CARD:
        life = dialect.profile.abilities.message_life_ms
        assert all(then - now >= life for now, then in pairwise(till.sent))
    if dedupe is Dedupe.DUPLICATE_CODE and fault in EFFECT_AT_ONCE:
        assert record.confirmation.by == "refusal"


def one_id(till: Till, centre: CentreProcess) -> bool:
    """Whether every message for the card had the id of the first attempt."""
    ours = till.adapter.message_name(activation_id("lin"))
    return {each["activation_id"] for each in centre.messages} <= {ours}


def test_a_message_that_comes_twice(
    dialect: Dialect, till: Till, centre: CentreProcess
) -> None:
    centre.misbehave("duplicate")

    till.begin("first")
    till.run(MINUTE)

    record, dedupe = till.record("first"), dialect.profile.abilities.dedupe
    assert record.state is ActivationState.ACTIVE
    assert record.confirmation is not None
    assert (record.confirmation.by == "refusal") == (dedupe in TWICE_IS_REFUSED)
    assert (len(centre.messages), len(centre.effects)) == (2, 1)
    assert till.sent == [0]


def test_a_refusal_ends_it_and_the_next_attempt_has_another_id(
    till: Till, centre: CentreProcess
) -> None:
    centre.misbehave("refuse", times=1)

    till.begin("first")
    till.run(MINUTE)
    refused = till.record("first")
    till.begin("second")
    till.run(2 * MINUTE)

    assert refused.state is ActivationState.REJECTED
    assert till.record("second").state is ActivationState.ACTIVE
    assert len(till.sent) == 2
    assert len({each["activation_id"] for each in centre.messages}) == 2
    assert len(centre.effects) == 1


def test_a_refusal_after_a_lost_answer_proves_nothing(
    dialect: Dialect, till: Till, centre: CentreProcess
) -> None:
    centre.misbehave("lose_answer", dialect.operation, times=1)
    centre.misbehave("refuse", dialect.operation)

    till.begin("first")
    till.run(HOUR)

    told = dialect.profile.abilities.can_tell_status
    expected = ActivationState.ACTIVE if told else ActivationState.MANUAL
    assert till.record("first").state is expected
    assert len(centre.effects) == 1
    assert one_id(till, centre)


def test_a_restart_before_the_answer(
    dialect: Dialect, till: Till, centre: CentreProcess
) -> None:
    till.begin("first")
    till.restart()
    till.run(HOUR)

    by_hand = dialect.profile.abilities.dedupe in TO_A_PERSON
    expected = ActivationState.MANUAL if by_hand else ActivationState.ACTIVE
    assert till.record("first").state is expected
    assert not (by_hand and till.sent[1:])
    assert len(centre.effects) == 1
    assert one_id(till, centre)


def test_a_restart_in_the_middle_of_an_outage(
    dialect: Dialect, till: Till, centre: CentreProcess
) -> None:
    centre.misbehave("lose_request")

    till.begin("first")
    till.run(HOUR)
    till.restart()
    centre.behave()
    till.run(HOUR + SOON)

    by_hand = dialect.profile.abilities.dedupe in TO_A_PERSON
    expected = ActivationState.MANUAL if by_hand else ActivationState.ACTIVE
    assert till.record("first").state is expected
    assert len(centre.effects) == (not by_hand)
    assert one_id(till, centre)
