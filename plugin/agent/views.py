"""What the agent shows of a transaction: values, without any wording."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from drivers.iso7816.atr import Atr
from plugin import privacy
from plugin.activation import desk, journey, moments
from plugin.activation.desk import ALLOWED, Action, Clock, Desk
from plugin.activation.pins import Wanted
from plugin.activation.problem import Problem
from plugin.activation.region import PinPolicy, RegionProfile, Role
from plugin.activation.saga import Activation, ActivationState, Confirmation, Origin
from plugin.card.basic_info import basic_info
from plugin.card.social_security import SocialSecurityCard
from plugin.settings import Terminal

Commit = Literal["none", "committing", "committed", "unknown"]
HOLDER_SECONDS = 600  # how long anything personal is kept in memory


class Holder(Struct, frozen=True, kw_only=True):
    """The person and what names their card: masked for everybody, or in clear for the
    client that started the transaction."""

    masked: bool
    social_security_number: str | None
    name: str | None
    sex: str | None
    birth_date: str | None
    card_number: str | None
    card_identification_code: str | None
    basic_info: str | None


class CardShown(Struct, frozen=True, kw_only=True):
    """The social security card as far as anybody may see it."""

    region_code: str
    spec_version: str
    issue_date: str | None
    expiry_date: str | None
    warnings: tuple[str, ...]


class PinShown(Struct, frozen=True, kw_only=True):
    """The PIN that is asked for, and nothing of what was typed. `at_work` means that the
    card, or the reader's keypad, has the word."""

    entry: str
    on_reader: bool
    digits_min: int
    digits_max: int
    tries_left: int | None
    last_try: bool
    at_work: bool


class TransactionView(Struct, frozen=True, kw_only=True):
    """One transaction at one moment; `seq` grows with every change of it, `detail` tells the
    moments of one state apart."""

    origin: Origin
    kind: str
    seq: int
    state: str
    detail: str | None = None
    role: str | None = None
    reader: str | None = None
    clock: Clock | None = None
    deadline: str | None = None
    allowed: frozenset[Action] = frozenset()
    acknowledged: bool = False
    commit: Commit = "none"
    problem: Problem | None = None
    notices: tuple[Problem, ...] = ()
    outcome: str | None = None
    confirmation: Confirmation | None = None
    pin: PinShown | None = None
    activation: str | None = None
    activation_id: str | None = None
    completed_at: str | None = None
    holder: Holder | None = None
    masked: Holder | None = None
    card: CardShown | None = None
    replayed: bool = False
    attended: bool = False  # its client must be there: asking for it is being there

    @property
    def is_terminal(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in _TERMINAL

    @property
    def waits_for_client(self) -> bool:
        """Whether only the client can say how it goes on: who waits for a result has it."""
        return self.is_terminal or self.state == desk.WaitingRegistration.name


_TERMINAL = frozenset(
    kind.name for kind in (desk.Succeeded, desk.Failed, desk.Cancelled, desk.Expired)
)
_COMMIT: dict[ActivationState, Commit] = {
    ActivationState.SENDING: "committing",
    ActivationState.UNKNOWN: "unknown",
    ActivationState.MANUAL: "unknown",
    ActivationState.ACTIVE: "committed",
}


def commit_of(record: Activation | None) -> Commit:
    """How far the activation has gone."""
    if record is not None and record.changing and not record.state.is_terminal:
        return "unknown"
    return _COMMIT.get(record.state, "none") if record is not None else "none"


def allowed(
    state: desk.State, *, acknowledged: bool, askable: bool
) -> frozenset[Action]:
    """What may be asked of a transaction in this state: not to acknowledge what is
    acknowledged, nor to reconcile where the centre cannot help."""
    actions = ALLOWED[type(state)]
    if acknowledged:
        actions -= {Action.ACKNOWLEDGE}
    return actions if askable else actions - {Action.RECONCILE}


def masked_holder(card: SocialSecurityCard) -> Holder:
    """What the operator compares with the person."""
    return Holder(
        masked=True,
        social_security_number=privacy.masked_number(card.social_security_number),
        name=privacy.masked_name(card.name),
        sex=card.sex,
        birth_date=None,
        card_number=privacy.masked_tail(card.issue.card_number),
        card_identification_code=None,
        basic_info=None,
    )


def clear_holder(card: SocialSecurityCard, atr: bytes, terminal: Terminal) -> Holder:
    """Everything that names the person, for the one client that may have it, also in the
    one string of `iReadCardBas`."""
    historical = Atr.parse(atr).historical_bytes if atr else b""
    born = card.birth_date
    return Holder(
        masked=False,
        social_security_number=card.social_security_number,
        name=card.name,
        sex=card.sex,
        birth_date=born.isoformat() if born else None,
        card_number=card.issue.card_number,
        card_identification_code=card.issue.identification_code,
        basic_info=basic_info(card, historical, terminal),
    )


def card_view(card: SocialSecurityCard) -> CardShown:
    """The card without what would name it."""
    issued, expires = card.issue.issue_date, card.issue.expiry_date
    return CardShown(
        region_code=card.issue.region,
        spec_version=card.issue.spec_version,
        issue_date=issued.isoformat() if issued else None,
        expiry_date=expires.isoformat() if expires else None,
        warnings=card.warnings,
    )


class Shown(Struct, frozen=True):
    """What the view takes from a desk's state: role, reader, problem, notices, outcome, the
    PIN that is asked for, and what tells its moments apart."""

    role: str | None = None
    reader: str | None = None
    problem: Problem | None = None
    notices: tuple[Problem, ...] = ()
    outcome: str | None = None
    confirmation: Confirmation | None = None
    pin: PinShown | None = None
    detail: str | None = None


def of_desk(now: Desk) -> Shown:
    """The same of a transaction at the counter."""
    return shown(now.state, now.facts.problem, now.facts.terms.profile.pin)


def shown(state: desk.State, problem: Problem | None, policy: PinPolicy) -> Shown:
    """The parts of a state that are worth showing, with the problem beside it."""
    parts = _parts(state, problem, policy)
    return replace(parts, detail=moments.detail(state, parts.problem))


def _parts(state: desk.State, problem: Problem | None, policy: PinPolicy) -> Shown:
    match state:
        case desk.WaitingReader(problem):
            return Shown(problem=problem)
        case desk.WaitingCard(Role.MEDICAL):
            without = (Problem("card.medical_missing"),)
            return Shown(role=Role.MEDICAL, problem=problem, notices=without)
        case desk.WaitingCard(role):
            return Shown(role=role, problem=problem)
        case desk.WaitingRemoval(role):
            return Shown(role=role, problem=problem)
        case desk.Reading(role, slot):
            return Shown(role=role, reader=slot.reader)
        case desk.WaitingConfirm(notices):
            return Shown(notices=notices)
        case desk.WaitingRegistration(notices):
            will = desk.Outcome.WILL_ACTIVATE
            return Shown(problem=problem, notices=notices, outcome=will)
        case desk.WaitingPin(wanted, slot):
            asked = _pin_shown(policy, wanted, at_work=False)
            return Shown(
                role=wanted.role, reader=slot.reader, problem=problem, pin=asked
            )
        case desk.PinAtWork(wanted, slot, counting=counting):
            typing = replace(wanted, on_reader=wanted.on_reader and not counting)
            asked = _pin_shown(policy, typing, at_work=True)
            return Shown(role=wanted.role, reader=slot.reader, pin=asked)
        case desk.Succeeded(outcome, confirmation, notices):
            return Shown(outcome=outcome, confirmation=confirmation, notices=notices)
        case desk.Cancelled(notices):
            return Shown(notices=notices)
        case desk.Failed(problem) | desk.Expired(problem):
            return Shown(problem=problem)
        case desk.InDoubt():
            return Shown(problem=problem)
        case _:
            return Shown()


def _pin_shown(policy: PinPolicy, wanted: Wanted, *, at_work: bool) -> PinShown:
    return PinShown(
        entry=wanted.entry.value,
        on_reader=wanted.on_reader,
        digits_min=policy.digits.minimum,
        digits_max=policy.digits.maximum,
        tries_left=wanted.tries_told if policy.show_tries else None,
        last_try=wanted.is_last_try,
        at_work=at_work,
    )


def from_record(
    record: Activation, own: Activation, profile: RegionProfile, *, askable: bool
) -> TransactionView:
    """A transaction that only the journal remembers: `own` is the record it began,
    `record` the one that tells its outcome, which the centre may be asked for where
    `askable`. Nothing personal is left of it."""
    state, problem = journey.told_by(record, profile)
    if isinstance(state, desk.Committing):  # of an earlier run of the agent
        state, problem = desk.InDoubt(), Problem("centre.answer_lost")
    told = shown(state, problem, profile.pin)
    return TransactionView(
        origin=own.origin,
        kind="activation",
        seq=own.version + record.version + 1,
        state=state.name,
        detail=told.detail,
        allowed=allowed(state, acknowledged=not own.unseen, askable=askable),
        acknowledged=isinstance(state, desk.Terminal) and not own.unseen,
        commit=commit_of(record),
        problem=told.problem,
        notices=told.notices,
        outcome=told.outcome,
        confirmation=record.confirmation,
        activation=record.origin.intent_id,
        activation_id=record.activation_id,
        completed_at=record.changed_at if record.state.is_terminal else None,
    )
