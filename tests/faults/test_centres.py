"""The way to the centre and back: whatever is wrong with it, what was sent has one id and one
effect, and what was not sent can be begun again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from plugin import main
from plugin.activation.region import OldPin, PinPolicy, RegionProfile
from plugin.activation.rules import CardStatus
from plugin.activation.saga import ActivationState
from plugin.centre import adapters
from plugin.centre.port import Centre, CentreAnswerError, Patience
from plugin.client import Transaction
from plugin.profile_file import load_profile
from plugin.settings import Settings
from simulator.reader import InProcessDesk
from tests.agents import PHARMACY, running
from tests.centre import CentreProcess
from tests.contract.dialects import PATIENCE, A, activation_id, sending
from tests.contract.till import EXCHANGE, HOUR, MINUTE, SECOND, Till
from tests.faults.troubles import IMPATIENT, TROUBLES, certified
from tests.scenario.counter import Counter

State = ActivationState
ANSWERED_ALL_THE_SAME = {"F59", "F71"}
OLD_PIN = "123456"
A_DAY_AND_MORE = 25 * HOUR
LASTS = {"F72": 8 * HOUR}


@contextmanager
def spoken_to(address: str, patience: Patience = PATIENCE) -> Iterator[Centre]:
    with closing(A.at(address, patience=patience)) as adapter:
        yield adapter


@pytest.fixture
def till(centre: CentreProcess) -> Iterator[Till]:
    with spoken_to(centre.address) as adapter:
        yield Till(adapter, centre.let_arrive)


@contextmanager
def in_trouble(
    fault: str, till: Till, centre: CentreProcess, folder: Path
) -> Iterator[None]:
    well = till.adapter
    with (
        TROUBLES[fault](centre, folder) as address,
        spoken_to(address, IMPATIENT) as till.adapter,
    ):
        yield
    till.adapter = well


def stands(till: Till) -> State:
    return till.record("first").state


def activated_once(till: Till, centre: CentreProcess) -> bool:
    ours = till.adapter.message_name(activation_id("lin"))
    ids = {each["activation_id"] for each in centre.messages}
    return (ids, len(centre.effects)) == ({ours}, 1)


@pytest.mark.parametrize("fault", TROUBLES)
def test_while_the_message_is_sent(
    till: Till, centre: CentreProcess, tmp_path: Path, fault: str
) -> None:
    with in_trouble(fault, till, centre, tmp_path):
        stood = till.begin("first").state

    till.run(HOUR)

    assert stood is State.SENDING
    assert stands(till) is State.ACTIVE
    assert activated_once(till, centre)


@pytest.mark.parametrize("fault", TROUBLES)
def test_while_the_centre_is_asked(
    till: Till, centre: CentreProcess, tmp_path: Path, fault: str
) -> None:
    centre.misbehave("lose_answer", "activations", times=1)
    till.begin("first")
    till.run(EXCHANGE)
    stood = stands(till)
    with in_trouble(fault, till, centre, tmp_path):
        lasts = LASTS.get(fault, MINUTE)
        till.run(lasts)
        asked, still = len(till.asked), stands(till)

    till.run(lasts + HOUR)

    assert (stood, asked > 0) == (State.UNKNOWN, True)
    expected = State.ACTIVE if fault in ANSWERED_ALL_THE_SAME else State.UNKNOWN
    assert still is expected
    assert stands(till) is State.ACTIVE
    assert activated_once(till, centre)


@pytest.mark.parametrize("fault", TROUBLES)
def test_while_a_person_is_waited_for(
    till: Till, centre: CentreProcess, tmp_path: Path, fault: str
) -> None:
    centre.misbehave("lose_answer", "activations", times=1)
    till.begin("first")
    with in_trouble("F53", till, centre, tmp_path):
        till.run(A_DAY_AND_MORE)
    stood, asked = stands(till), len(till.asked)
    with in_trouble(fault, till, centre, tmp_path):
        over = A_DAY_AND_MORE + LASTS.get(fault, HOUR)
        till.run(over)
        asked, still = len(till.asked) - asked, stands(till)

    till.run(over + HOUR)

    assert (stood, asked > 0) == (State.MANUAL, True)
    expected = State.ACTIVE if fault == "F59" else State.MANUAL
    assert still is expected
    assert stands(till) is State.ACTIVE
    assert activated_once(till, centre)


def test_a_message_that_arrives_once_more_after_the_end_changes_nothing(
    till: Till, centre: CentreProcess
) -> None:
    centre.misbehave("late", "activations", times=1, seconds=86_400)
    till.begin("first")
    till.run(10 * SECOND)
    ended, came = till.record("first"), len(centre.messages)

    centre.let_arrive()
    till.run(HOUR)

    assert (ended.state, came, len(centre.messages)) == (State.ACTIVE, 1, 2)
    assert till.record("first") == ended
    assert activated_once(till, centre)


def test_a_certificate_that_is_right_is_believed(
    centre: CentreProcess, tmp_path: Path
) -> None:
    with (
        certified()(centre, tmp_path) as address,
        spoken_to(address) as adapter,
        pytest.raises(CentreAnswerError),  # it is heard, and says nothing
    ):
        adapter.activate(sending(adapter))


# Before anything is sent


class Asked:
    """A counter in a pharmacy, and how the record stood when the centre was asked."""

    def __init__(self, counter: Counter, *, old_pin: bool) -> None:
        self.counter = counter
        self._old_pin = old_pin
        self.stood: list[str] = []
        centre = counter.running.agent.till.centre
        ask = centre.card_status

        def noted(*said: Any) -> CardStatus:  # noqa: ANN401 - it calls through
            self.stood.append(self.record)
            return ask(*said)

        centre.card_status = noted  # type: ignore[assignment,method-assign]

    @property
    def record(self) -> str:
        """How the newest stands."""
        listed = self.counter.pos.request("GET", "/v1/activations").body["activations"]
        return str(listed[0]["state"])

    def buys(self) -> Transaction:
        """Two cards, to the operator's yes or to the end."""
        counter = self.counter
        counter.start("pharmacy")
        counter.put("lin.medical", 0)
        if self._old_pin:
            counter.reaches("waiting_pin")
            counter.now = counter.pos.kaqi.pin(counter.now, OLD_PIN)
        counter.reaches("waiting_card.social_security")
        counter.put("lin.social_security", 1)
        return counter.reaches("waiting_confirm", "failed", "succeeded")


@contextmanager
def at_a_pharmacy(folder: Path, address: str, *, old_pin: bool) -> Iterator[Asked]:
    policy = PinPolicy(old=OldPin.ALWAYS if old_pin else OldPin.NEVER)
    profile = replace(load_profile("reference"), pin=policy)
    hand = InProcessDesk()

    def impatient(profile: RegionProfile, settings: Settings) -> Centre:
        return adapters.opened(
            profile.centre, address=settings.centre_address, patience=IMPATIENT
        )

    with pytest.MonkeyPatch.context() as instead:
        instead.setattr(main, "centre_of", impatient)
        with running(
            folder,
            address,
            {"inprocess": hand},
            hand,
            institution=PHARMACY,
            profile=profile,
        ) as started:
            yield Asked(Counter(started, hand), old_pin=old_pin)


BEFORE = [fault for fault in TROUBLES if fault not in ("F59", "F60", "F71")]
WITH_AN_OLD_PIN = {State.RECEIVED: False, State.CARD_STEPS: True}


@pytest.mark.parametrize("state", WITH_AN_OLD_PIN, ids=str)
@pytest.mark.parametrize("fault", BEFORE)
def test_before_anything_is_sent(
    centre: CentreProcess, tmp_path: Path, fault: str, state: State
) -> None:
    old_pin = WITH_AN_OLD_PIN[state]
    with (
        TROUBLES[fault](centre, tmp_path) as address,
        at_a_pharmacy(tmp_path / "data", address, old_pin=old_pin) as asked,
    ):
        ended = asked.buys()

        assert asked.stood == [state]
        assert (ended.state, asked.record) == ("failed", State.ABANDONED)
        assert str(asked.counter.code).startswith("centre.")
    assert (centre.messages, centre.effects) == ([], [])


@pytest.mark.parametrize("state", WITH_AN_OLD_PIN, ids=str)
@pytest.mark.parametrize("fault", ["F59", "F71"])
def test_a_question_answered_twice_or_by_a_stale_site(
    centre: CentreProcess, tmp_path: Path, fault: str, state: State
) -> None:
    """The site has not heard that the card is active: the message says so again."""
    old_pin = WITH_AN_OLD_PIN[state]
    with (
        TROUBLES[fault](centre, tmp_path) as address,
        at_a_pharmacy(tmp_path / "data", address, old_pin=old_pin) as asked,
    ):
        for _ in range(2):
            asked.buys()
            if asked.counter.now.state == "waiting_confirm":
                asked.counter.confirm()
            asked.counter.reaches("succeeded")
            asked.counter.clear()

    assert asked.counter.now.outcome in ("activated", "already_active")
    assert set(asked.stood) == {state}
    assert len(centre.effects) == 1


@pytest.mark.parametrize("state", WITH_AN_OLD_PIN, ids=str)
def test_a_no_to_the_question_is_a_no_of_today(
    centre: CentreProcess, tmp_path: Path, state: State
) -> None:
    old_pin = WITH_AN_OLD_PIN[state]
    centre.set_standing("lin", "lost")
    with at_a_pharmacy(tmp_path, centre.address, old_pin=old_pin) as asked:
        refused = asked.buys()
        code = asked.counter.code
        centre.set_standing("lin", "inactive")
        asked.counter.clear()

        asked.buys()
        asked.counter.confirm()
        ended = asked.counter.reaches("succeeded")

    assert (refused.state, code) == ("failed", "card.lost")
    assert asked.stood == [state, state]
    assert ended.outcome == "activated"
    assert len(centre.effects) == 1


def test_an_old_card_that_was_believed_and_somebody_elses_new_one(
    centre: CentreProcess, tmp_path: Path
) -> None:
    with at_a_pharmacy(tmp_path, centre.address, old_pin=True) as asked:
        counter = asked.counter
        counter.start("pharmacy")
        counter.put("he.medical", 0)
        counter.reaches("waiting_pin")
        counter.now = counter.pos.kaqi.pin(counter.now, OLD_PIN)
        counter.reaches("waiting_card.social_security")
        stood = asked.record
        counter.put("lin.social_security", 1)
        counter.reaches("failed")

        assert stood == State.CARD_STEPS
        assert counter.code == "transaction.person_mismatch"
        assert asked.record == State.ABANDONED
    assert centre.messages == []
