"""What is durable before a card is asked for its PIN, and what is forgotten after."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from drivers.conversation import Procedure
from drivers.iso7816.status_word import StatusWord
from plugin.activation import desk, saga
from plugin.activation.desk import Slot
from plugin.activation.pins import Entry, Torn, Typed, Wanted
from plugin.activation.problem import Problem
from plugin.activation.region import Role
from plugin.activation.saga import Abilities, Activation, ActivationState, CardStep
from plugin.agent.presenter import Asked, Presenter
from plugin.agent.recovery import Activations
from plugin.card import pin
from plugin.card.pin import Answer
from plugin.journal.memory import MemoryJournal
from plugin.journal.port import JournalError, Request
from plugin.journal.port import Torn as Noted
from plugin.privacy import Keys
from tests.unit.journeys import ORIGIN
from tests.unit.test_agent_parts import Post, Time
from tests.unit.worlds import PROFILE, social_security

KEYS = Keys(bytes(32))
TYPED = Typed(pin="135792", new_pin="246813")
VERIFY = Wanted(role=Role.SOCIAL_SECURITY, entry=Entry.VERIFY, tries_left=5)
CHANGE = Wanted(role=Role.SOCIAL_SECURITY, entry=Entry.NEW)
AFTER_TORN = Wanted(role=Role.SOCIAL_SECURITY, entry=Entry.VERIFY, torn=Torn.NEW_FIRST)
Answering = Callable[[Answer | Problem], None]


class FullJournal(MemoryJournal):
    """A journal without room for something."""

    refuses = ""

    def save(self, activation: Activation) -> Activation:
        self._write("save")
        return super().save(activation)

    def tear(self, torn: Noted) -> None:
        self._write("tear")
        super().tear(torn)

    def mend(self, card_ref: str) -> None:
        self._write("mend")
        super().mend(card_ref)

    def _write(self, what: str) -> None:
        if what in self.refuses.split():
            raise JournalError("no space left")


class Counter:
    """A presenter between a journal and a card, which answers when it is told to."""

    def __init__(self) -> None:
        self.journal = FullJournal()
        request = Request(client_id="c", key="k", fingerprint="f", transaction_id="t")
        self.journal.create(Activation(origin=ORIGIN), request)
        self.told: list[desk.Event] = []
        self.answers: list[Answering] = []
        self.durable: list[tuple[Activation, bool]] = []
        self.time = Time()
        self.activates = False
        activations = Activations(
            self.journal, Post(), self.time, Random(1), lambda _: None
        )
        self.presenter = Presenter(
            self,
            self.journal,
            activations,
            KEYS,
            PROFILE,
            lambda: "now",
        )

    @property
    def torn(self) -> bool:
        code = social_security().issue.identification_code
        return self.journal.torn(KEYS.digest("card", code)) is not None

    def present(
        self,
        slot: Slot,
        procedure: Callable[[], Procedure[Answer]],
        done: Answering,
        trace_id: str,
        seconds: float = 0.0,
    ) -> None:
        record = self.journal.get(ORIGIN.intent_id)
        assert record is not None
        self.durable.append((record, self.torn))
        self.answers.append(done)

    def asks(self, wanted: Wanted) -> Counter:
        asked = Asked(
            origin=ORIGIN,
            intent_id=ORIGIN.intent_id,
            activates=self.activates,
            issue=social_security().issue,
            slot=Slot("r1", "a"),
            wanted=wanted,
            tell=self.told.append,
        )
        self.presenter.present(asked, TYPED)
        return self

    def hears(self, answer: Answer | Problem) -> None:
        self.answers.pop()(answer)


def test_what_is_asked_is_durable_before_the_card_is() -> None:
    verifying, changing = Counter().asks(VERIFY), Counter().asks(CHANGE)

    ((record, torn),) = verifying.durable
    assert (record.state, record.card_step) == (
        ActivationState.CARD_STEPS,
        CardStep.VERIFYING,
    )
    assert (record.tries_seen, torn) == (5, False)
    ((record, torn),) = changing.durable
    assert (record.state, record.card_step) == (
        ActivationState.CARD_STEPS,
        CardStep.CHANGING,
    )
    assert torn


@pytest.mark.parametrize("refuses", ["save", "tear"])
def test_a_card_is_not_asked_when_that_cannot_be_written(refuses: str) -> None:
    counter = Counter()
    counter.journal.refuses = refuses

    counter.asks(CHANGE)

    assert counter.answers == []
    assert counter.told == [desk.PinNotPresented("a", Problem("agent.journal_failed"))]
    assert not counter.torn


def test_a_journal_that_can_neither_note_nor_forget_leaves_no_card_torn() -> None:
    counter = Counter()
    counter.journal.refuses = "save mend"

    counter.asks(CHANGE)

    assert (counter.answers, counter.torn) == ([], False)


@pytest.mark.parametrize(
    ("answer", "torn"),
    [
        (pin.Accepted(), False),
        (pin.Wrong(3), False),
        (pin.Blocked(), False),
        (pin.NotSet(), False),
        (pin.NotTyped("pin.cancelled"), False),
        (pin.Refused(StatusWord(0x6D00)), False),
        (pin.Unanswered(), True),
        (Problem("card.removed"), False),
        (Problem("card.swapped"), False),
    ],
)
def test_a_change_stays_torn_until_the_card_has_answered(
    answer: Answer | Problem, *, torn: bool
) -> None:
    counter = Counter().asks(CHANGE)

    counter.hears(answer)

    assert counter.torn is torn
    assert len(counter.told) == 1


@pytest.mark.parametrize(
    ("answer", "torn"),
    [
        (pin.Accepted(), False),
        (pin.Wrong(3), True),
        (pin.Blocked(), True),
        (pin.Unanswered(), True),
        (Problem("card.removed"), True),
    ],
)
def test_a_torn_card_is_mended_by_a_right_pin_alone(
    answer: Answer | Problem, *, torn: bool
) -> None:
    counter = Counter().asks(CHANGE)
    counter.hears(pin.Unanswered())

    counter.asks(AFTER_TORN).hears(answer)

    assert counter.torn is torn


def test_what_cannot_be_forgotten_stops_nobody() -> None:
    counter = Counter().asks(CHANGE)
    counter.journal.refuses = "mend"

    counter.hears(pin.Accepted())

    assert counter.told == [desk.PinAnswered("a", pin.Accepted())]
    assert counter.torn


def test_a_change_that_was_not_noted_takes_nothing_back() -> None:
    counter = Counter()
    before = counter.journal.get(ORIGIN.intent_id)
    assert before is not None
    asked = saga.CardAsked(CardStep.CHANGING, None, "card")
    torn = saga.step(before, asked, 0, Abilities()).record
    counter.journal.save(torn)

    counter.journal.refuses = "save"
    counter.activates = True
    counter.asks(CHANGE)
    counter.journal.refuses = ""
    counter.time.ring()

    record = counter.journal.get(ORIGIN.intent_id)
    assert record is not None
    assert record.changing
    assert counter.durable == []
