"""What there is at the counter: what one transaction has learned, where it stands, what can
happen to it and what it wants done. Values and two tables; `journey` moves among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct, field

from plugin.activation import pins
from plugin.activation.pins import Entry, Keypad, Talk, Typed, Wanted
from plugin.activation.problem import Problem
from plugin.activation.region import (
    ActivationBy,
    NewPinWhen,
    RegionProfile,
    Role,
    Scenario,
    ScenarioRules,
)
from plugin.activation.rules import CardStatus
from plugin.activation.saga import Activation, Confirmation
from plugin.card.medical import MedicalCard
from plugin.card.pin import Answer
from plugin.card.reading import Card
from plugin.card.social_security import SocialSecurityCard


class Outcome(StrEnum):
    """How a transaction can succeed."""

    ACTIVATED = "activated"
    ALREADY_ACTIVE = "already_active"
    NOT_CHECKED = "not_checked"
    WILL_ACTIVATE = "will_activate_on_registration"
    WOULD_ACTIVATE = "would_activate"  # of a dry run


class Clock(StrEnum):
    """Whose time is running."""

    CARD = "card"
    CONFIRM = "confirm"
    PIN = "pin"
    REGISTRATION = "registration"
    CENTRE = "centre"


class Registered(StrEnum):
    """Why the centre is asked once more."""

    SAID = "said"  # somebody says that the visit is registered
    OVERDUE = "overdue"  # nobody says anything


class Action(StrEnum):
    """What a client may ask of a running transaction."""

    CANCEL = "cancel"
    CONFIRM = "confirm"
    CONTINUE = "continue"
    PIN = "pin"
    ACKNOWLEDGE = "acknowledge"
    RECONCILE = "reconcile"


class Terms(Struct, frozen=True, kw_only=True):
    """What holds for this transaction from its beginning to its end."""

    scenario: Scenario
    rules: ScenarioRules
    profile: RegionProfile
    simulated: bool
    dry_run: bool = False

    @property
    def two_cards(self) -> bool:
        """Whether the old card takes part."""
        return Role.MEDICAL in self.rules.steps

    @property
    def asks_status(self) -> bool:
        """Whether this centre can say how a card stands."""
        return self.profile.centre.offers.card_status

    @property
    def changes_pin(self) -> bool:
        """Whether the change of the PIN is the activation."""
        return self.rules.activation_by is ActivationBy.PIN_CHANGE


class Slot(Struct, frozen=True):
    """A usable reader as the counter shows it: `insertion_id` names one stay of one card.

    `left_behind` marks a card that an earlier transaction has already read, `swiped` one
    that has passed and is not there any more.
    """

    reader: str
    insertion_id: str | None = None
    mute: bool = False
    swiped: bool = False
    left_behind: bool = False


class Facts(Struct, frozen=True, kw_only=True):
    """What the journey has learned."""

    terms: Terms
    slots: tuple[Slot, ...] = ()
    trouble: Problem | None = None  # why no reader can be asked
    seen: frozenset[str] = frozenset()
    medical: MedicalCard | None = None
    social_security: SocialSecurityCard | None = None
    accepted: Mapping[str, Role]  # which stay was accepted as which card
    keypads: Mapping[str, Keypad] = field(default_factory=dict)  # by stay
    talks: Mapping[Role, Talk] = field(default_factory=dict)
    settled: frozenset[Role] = frozenset()  # whose PIN is done with
    had_pin: frozenset[Role] = frozenset()  # whose PIN was right
    changed: bool = False  # the new card has taken a new PIN
    torn: bool = False  # it may have, now or before: only it knows
    doubt: Problem | None = None  # what our journal has of the card in hand
    activated: Confirmation | None = None  # what our own journal knows of the card
    registered: Registered | None = None
    said: bool = False  # that the visit is registered
    notices: tuple[Problem, ...] = ()  # of an activation that may begin
    same_person: bool | None = None
    status: CardStatus | None = None
    known: bool = False
    confirmed: bool = False
    problem: Problem | None = None
    problem_stay: str | None = None

    def card(self, role: Role) -> Card | None:
        """The card read for this role."""
        return self.medical if role is Role.MEDICAL else self.social_security

    def slot_of(self, role: Role) -> Slot | None:
        """Where the card of this role lies now."""
        found = (
            slot
            for slot in self.slots
            if slot.insertion_id is not None
            and self.accepted.get(slot.insertion_id) is role
        )
        return next(found, None)

    def pin_due(self, role: Role) -> bool:
        """Whether this card's PIN must be asked for. Memory cards have none."""
        card, policy = self.card(role), self.terms.profile.pin
        if card is None or card.issue is None or role in self.settled:
            return False
        if self.terms.dry_run or not pins.due(policy, role):
            return False
        of_old = role is Role.MEDICAL or policy.new_when is NewPinWhen.ALWAYS
        return of_old or Role.MEDICAL in self.had_pin

    @property
    def missing(self) -> Role | None:
        """The first card the scenario asks for and nobody has shown."""
        wanted = (role for role in self.terms.rules.steps if self.card(role) is None)
        return next(wanted, None)


# Where the journey stands.


class WaitingReader(Struct, frozen=True):
    """No reader is there, and why."""

    problem: Problem
    name = "waiting_reader"


class WaitingCard(Struct, frozen=True):
    """A card of this role should be put in."""

    role: Role
    name = "waiting_card"


class Reading(Struct, frozen=True):
    """A card is being read, hopefully of this role."""

    role: Role
    slot: Slot
    name = "reading"

    def of(self, stay: str) -> bool:
        """Whether it is the card of this stay."""
        return self.slot.insertion_id == stay


class WaitingRemoval(Struct, frozen=True):
    """This card should be taken out to make room; None: somebody's from before."""

    role: Role | None
    name = "waiting_removal"


class Matching(Struct, frozen=True):
    """Do both cards belong to one person?"""

    name = "matching"


class Checking(Struct, frozen=True):
    """How does the card stand at the centre?"""

    name = "checking"


class WaitingConfirm(Struct, frozen=True):
    """The operator sees the holder and the consequence, and says yes or no."""

    notices: tuple[Problem, ...]
    name = "waiting_confirm"


class WaitingRegistration(Struct, frozen=True):
    """The card will be activated when the visit is registered, which is not our doing;
    `notices` are what the operator should know."""

    notices: tuple[Problem, ...]
    name = "waiting_registration"


class WaitingPin(Struct, frozen=True):
    """Somebody should type a PIN for the card in this slot."""

    wanted: Wanted
    slot: Slot
    name = "waiting_pin"


class PinAtWork(Struct, frozen=True):
    """The card is asked. `then` is what is wanted after a yes; `counting` asks for its
    counter only; `leaving` ends the transaction as soon as it has answered."""

    wanted: Wanted
    slot: Slot
    then: Entry | None = None
    counting: bool = False
    leaving: bool = False
    name = "waiting_pin"


class Committing(Struct, frozen=True):
    """The activation is under way; there is no way back."""

    name = "committing"


class InDoubt(Struct, frozen=True):
    """An answer was lost, the centre's or the card's. The holder need not wait."""

    name = "in_doubt"


class Succeeded(Struct, frozen=True):
    """The card is active, or the visit goes on without knowing."""

    outcome: Outcome
    confirmation: Confirmation | None = None
    notices: tuple[Problem, ...] = ()
    name = "succeeded"


class Failed(Struct, frozen=True):
    """It cannot be done, and why."""

    problem: Problem
    name = "failed"


class Cancelled(Struct, frozen=True):
    """Somebody said no, or was lost; `notices` say so, and what had been done by then."""

    notices: tuple[Problem, ...] = ()
    name = "cancelled"


class Expired(Struct, frozen=True):
    """Nobody came, and whose clock it was."""

    problem: Problem
    name = "expired"


State = (
    WaitingReader
    | WaitingCard
    | Reading
    | WaitingRemoval
    | Matching
    | Checking
    | WaitingConfirm
    | WaitingRegistration
    | WaitingPin
    | PinAtWork
    | Committing
    | InDoubt
    | Succeeded
    | Failed
    | Cancelled
    | Expired
)
Terminal = Succeeded | Failed | Cancelled | Expired

ALLOWED: dict[type[State], frozenset[Action]] = {
    WaitingReader: frozenset({Action.CANCEL}),
    WaitingCard: frozenset({Action.CANCEL, Action.CONTINUE}),
    Reading: frozenset({Action.CANCEL}),
    WaitingRemoval: frozenset({Action.CANCEL, Action.CONTINUE}),
    Matching: frozenset({Action.CANCEL}),
    Checking: frozenset({Action.CANCEL}),
    WaitingConfirm: frozenset({Action.CANCEL, Action.CONFIRM}),
    WaitingRegistration: frozenset({Action.CANCEL, Action.CONTINUE}),
    WaitingPin: frozenset({Action.CANCEL, Action.PIN}),
    PinAtWork: frozenset({Action.CANCEL}),
    Committing: frozenset(),
    InDoubt: frozenset({Action.RECONCILE}),
    Succeeded: frozenset({Action.ACKNOWLEDGE}),
    Failed: frozenset({Action.ACKNOWLEDGE}),
    Cancelled: frozenset({Action.ACKNOWLEDGE}),
    Expired: frozenset({Action.ACKNOWLEDGE}),
}


def refusal(action: Action, state: str) -> str:
    """The code by which an action is refused in a state of this name."""
    final = state in (Committing.name, InDoubt.name)
    if action is Action.CANCEL and final:
        return "transaction.not_cancellable"
    return "transaction.bad_state"


# A card at work has no clock: the reader's patience ends it.
CLOCKS: dict[type[State], Clock] = {
    WaitingReader: Clock.CARD,
    WaitingCard: Clock.CARD,
    WaitingRemoval: Clock.CARD,
    WaitingConfirm: Clock.CONFIRM,
    WaitingRegistration: Clock.REGISTRATION,
    WaitingPin: Clock.PIN,
    Matching: Clock.CENTRE,
    Checking: Clock.CENTRE,
}


class Desk(Struct, frozen=True):
    """One transaction at one moment."""

    facts: Facts
    state: State

    @property
    def is_terminal(self) -> bool:
        """Whether the transaction is over."""
        return isinstance(self.state, Terminal)

    @property
    def is_left_in_doubt(self) -> bool:
        """Whether the holder has gone with a card of which only the card knows."""
        return isinstance(self.state, InDoubt) and self.facts.torn

    @property
    def uses_readers(self) -> bool:
        """Whether cards are still looked at: not once the centre has the message, or the
        registration desk the word."""
        at_desk = isinstance(self.state, WaitingRegistration)
        asked_again = self.facts.registered is not None
        return self.needs_holder and not (at_desk or asked_again)

    @property
    def needs_holder(self) -> bool:
        """Whether what was read is still needed."""
        return not isinstance(self.state, Terminal | Committing | InDoubt)


# What has happened.


class SlotsChanged(Struct, frozen=True):
    """What lies on the counter now, as a whole; where nothing can, `trouble` says why."""

    slots: tuple[Slot, ...]
    trouble: Problem | None = None


class CardRead(Struct, frozen=True):
    """This stay's card was read. `keypad` is what its reader can do with a PIN; `torn`
    says that the card may have either of two; `at_worst` is how few tries it may have, as
    far as this till knows; `activated` that this till has activated it, where the centre
    need not know; `doubt` what our journal has of it in hand."""

    insertion_id: str
    card: Card
    keypad: Keypad = frozenset()
    torn: bool = False
    at_worst: int | None = None
    activated: Confirmation | None = None
    doubt: Problem | None = None


class ReadFailed(Struct, frozen=True):
    """This stay's card was not read, and why."""

    insertion_id: str
    problem: Problem


class Matched(Struct, frozen=True):
    """Whether both cards belong to one person."""

    same_person: bool


class StatusTold(Struct, frozen=True):
    """How the card stands at the centre. `known` says that our own journal had it as active
    already."""

    status: CardStatus
    known: bool = False


class CentreSilent(Struct, frozen=True):
    """The centre could not be asked."""

    problem: Problem


class ConfirmAsked(Struct, frozen=True):
    """The operator says yes."""


class PinGiven(Struct, frozen=True):
    """Somebody has typed a PIN, or wants to on the reader."""

    typed: Typed


class PinAnswered(Struct, frozen=True):
    """This stay's card has answered, or its answer is lost."""

    insertion_id: str
    answer: Answer


class PinNotPresented(Struct, frozen=True):
    """This stay's card was not asked, and why."""

    insertion_id: str
    problem: Problem


class ContinueAsked(Struct, frozen=True):
    """The operator says: look again at the cards that are in."""


class CancelAsked(Struct, frozen=True):
    """The operator or the POS says no; or nobody does, and `notices` say why."""

    notices: tuple[Problem, ...] = ()


class ClockRanOut(Struct, frozen=True):
    """Nobody came in time."""

    clock: Clock


class ActivationMoved(Struct, frozen=True):
    """The durable activation has a new state."""

    record: Activation


class Stumbled(Struct, frozen=True):
    """Our own program failed while it dealt with this transaction."""

    problem: Problem


class NotBegun(Struct, frozen=True):
    """The durable activation could not be written; nothing was sent."""

    problem: Problem


Event = (
    SlotsChanged
    | CardRead
    | ReadFailed
    | Matched
    | StatusTold
    | CentreSilent
    | ConfirmAsked
    | PinGiven
    | PinAnswered
    | PinNotPresented
    | ContinueAsked
    | CancelAsked
    | ClockRanOut
    | ActivationMoved
    | NotBegun
    | Stumbled
)


# What is to be done.


class ReadCard(Struct, frozen=True):
    """Read the card in this slot; answer with CardRead or ReadFailed."""

    slot: Slot


class Match(Struct, frozen=True):
    """Find out whether both cards belong to one person; answer with Matched or
    CentreSilent."""


class AskStatus(Struct, frozen=True):
    """Ask how the card stands; answer with StatusTold or CentreSilent."""


class PresentPin(Struct, frozen=True):
    """Present what was typed, or let it be typed on the reader; answer with PinAnswered or
    PinNotPresented, and never do it again."""

    slot: Slot
    wanted: Wanted
    typed: Typed


class CountTries(Struct, frozen=True):
    """Ask the card for its counter; answer as to PresentPin."""

    slot: Slot
    wanted: Wanted


class Activate(Struct, frozen=True):
    """Hand over to the saga; answer with ActivationMoved, as often as it moves."""


Effect = ReadCard | Match | AskStatus | PresentPin | CountTries | Activate


class Step(Struct, frozen=True):
    """The transaction now, and what to do."""

    desk: Desk
    effects: tuple[Effect, ...] = ()
