"""What differs between cities, as frozen values (design of profiles: domain facts, 12)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum

from msgspec import Struct, field

from plugin.activation.problem import Refusal
from plugin.activation.saga import Abilities
from plugin.card.pin import Digits
from plugin.card.reading import Layouts
from plugin.settings import InstitutionKind


class Scenario(StrEnum):
    """Where the first use of a card happens."""

    PHARMACY = "pharmacy"
    OUTPATIENT_REGISTRATION = "outpatient_registration"
    INPATIENT_REGISTRATION = "inpatient_registration"


class Role(StrEnum):
    """What a card is to a transaction."""

    MEDICAL = "medical"
    SOCIAL_SECURITY = "social_security"


class ActivationBy(StrEnum):
    """What makes a card active."""

    CENTRE = "centre"  # a message of ours
    REGISTRATION = "registration"  # the centre does, when the visit is registered
    PIN_CHANGE = "pin_change"  # that the holder gives it a PIN of their own


class MatchBy(StrEnum):
    """How two cards are known to belong to one person."""

    NUMBER = "number"  # both carry the social security number
    CENTRE = "centre"  # where the old card does not, the centre says whose it is


class Effect(StrEnum):
    """What it means that a window has passed."""

    WARN = "warn"
    BLOCK = "block"


class CountsFrom(StrEnum):
    """The day a window begins on."""

    HANDED_OVER = "handed_over"
    ISSUED = "issued"


class Check(StrEnum):
    """What a wrong check digit of the card number means."""

    WARN = "warn"
    STRICT = "strict"


class OldPin(StrEnum):
    """Whether an old CPU card's PIN is verified before it is believed."""

    NEVER = "never"
    IF_SET = "if_set"
    ALWAYS = "always"


class NewPin(StrEnum):
    """What happens to the new card's PIN before the card is activated."""

    NONE = "none"
    KEEP = "keep"  # it is verified
    SET = "set"  # it is changed
    CHANGE_INITIAL = "change_initial"  # it is verified, and changed where it is initial


class NewPinWhen(StrEnum):
    """For whom the rule of the new card's PIN holds."""

    ALWAYS = "always"
    OLD_HAD_ONE = "old_had_one"  # for holders whose old card has a PIN


class PinPolicy(Struct, frozen=True, kw_only=True):
    """What a region wants of PINs. `initial` are those of the card maker, which no holder
    may keep; `probe` says that its cards tell the tries left when asked with nothing."""

    old: OldPin = OldPin.NEVER
    new: NewPin = NewPin.NONE
    new_when: NewPinWhen = NewPinWhen.ALWAYS
    initial: frozenset[str] = frozenset()
    digits: Digits = Digits()
    show_tries: bool = True
    probe: bool = False

    @property
    def wanted(self) -> bool:
        """Whether any PIN is ever asked for."""
        return self.old is not OldPin.NEVER or self.new is not NewPin.NONE


class Window(Struct, frozen=True, kw_only=True):
    """So many days from a beginning; on the last of them it is not over yet."""

    days: int
    counts_from: CountsFrom
    effect: Effect


class ScenarioRules(Struct, frozen=True, kw_only=True):
    """How one scenario goes: the cards in their order, what makes the card active, whether
    the operator confirms, and whether the queue goes on when the centre cannot be
    reached."""

    steps: tuple[Role, ...]
    activation_by: ActivationBy = ActivationBy.CENTRE
    confirm: bool
    centre_required: bool


class Clocks(Struct, frozen=True, kw_only=True):
    """Seconds until nobody is waited for any more, each clock on its own."""

    card: int = 120
    confirm: int = 120
    pin: int = 60
    registration: int = 900
    centre: int = 20


class Offers(Struct, frozen=True, kw_only=True):
    """What a dialect has a question for, beside the activation itself."""

    card_status: bool = False  # how a card stands, and the centre's date
    match: bool = False  # whose an old card is
    authenticate: bool = False  # an HSM for cards of 3.0
    activation_status: bool = False  # what became of an activation id


class RefusalRule(Struct, frozen=True, kw_only=True):
    """What a "no" of this centre means: with this code, with these words in its text, or
    both. `means` is a code of the catalogue, or ACTIVE."""

    means: str
    code: str | None = None
    contains: str | None = None

    def fits(self, refusal: Refusal) -> bool:
        """Whether it is about this refusal."""
        return self.code in (None, refusal.code) and (
            self.contains is None or self.contains in refusal.text
        )


ACTIVE = "active"  # the refusal that says: this card is active already
CAUSES = frozenset(  # what else a refusal of a centre can mean
    {
        "card.lost",
        "card.temporarily_lost",
        "card.cancelled",
        "card.expired",
        "card.not_handed_out",
        "card.suspended",
        "card.unknown_to_centre",
        "card.activation_window_closed",
        "card.financial_window_closed",
        "card.holder_mismatch",
        "card.not_first_replacement",
        "card.medical_blocked",
        "transaction.person_mismatch",
        "holder.under_age",
        "centre.busy",
    }
)
HAVE_WAYS_BACK = CAUSES | {  # a region may have its own ways out of these
    "card.not_genuine",
    "card.number_wrong",
    "card.data_invalid",
    "card.financial_window_over",
    "card.medical_missing",
    "card.medical_without_number",
    "card.app_locked",
    "pin.locked",
    "pin.not_set",
    "pin.still_initial",
    "pin.torn_stopped",
}


class Envelope(Struct, frozen=True, kw_only=True):
    """What differs between the cities that speak the XML dialect with transaction 2132
    (domain facts, 4). `input` maps an element inside INPUT to a field of the cards."""

    path: str
    root: str
    encoding: str
    insurance: str  # AAE140
    operator: str  # OPERID, where the POS names nobody
    accepted: frozenset[str]  # RETURNNUM
    refused: frozenset[str]
    id_length: int  # of MSGID, in characters
    compact_time: bool  # OPTTIME as yyyyMMddHHmmss, else yyyy-MM-dd HH:mm:ss
    input: Mapping[str, str]


class CentreProfile(Struct, frozen=True, kw_only=True):
    """Which adapter speaks to the centre, where, what that centre can do, and what its
    refusals mean: the first rule that fits."""

    adapter: str
    address: str
    abilities: Abilities
    offers: Offers
    refusals: tuple[RefusalRule, ...] = ()
    envelope: Envelope | None = None

    def meaning(self, refusal: Refusal) -> str | None:
        """The code of the catalogue, or ACTIVE; None where the region says nothing."""
        fitting = (rule.means for rule in self.refusals if rule.fits(refusal))
        return next(fitting, None)

    def known_words(self, refusal: Refusal) -> Refusal:
        """A refusal that means the same, with none but the words that the rules know."""
        known = (rule.contains for rule in self.refusals if rule.contains)
        found = (words for words in known if words in refusal.text)
        return Refusal(code=refusal.code, text="\n".join(found))


class Holders(Struct, frozen=True, kw_only=True):
    """Whose cards may be activated here. `proxies` are the places to which a holder may
    send somebody else, with the three documents of the guidance (domain facts, 0)."""

    first_replacement_only: bool = False
    minimum_age: int = 0
    proxies: frozenset[str] = frozenset()


class Chosen(Struct, frozen=True):
    """One scenario at one kind of institution, and how it goes."""

    kind: InstitutionKind
    scenario: Scenario
    rules: ScenarioRules


class RegionProfile(Struct, frozen=True, kw_only=True):
    """One city's rules. `name`, `places` and `wording` map a language to words; `ways_back`
    maps a problem to the ways out of it that this region has, the best first."""

    id: str
    version: str
    name: Mapping[str, str]
    scenarios: Mapping[InstitutionKind, Mapping[Scenario, ScenarioRules]]
    cards: Layouts
    match: MatchBy
    card_number: Check
    holders: Holders
    pin: PinPolicy
    activation_window: Window
    financial_window: Window
    clocks: Clocks
    centre: CentreProfile
    ways_back: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    places: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    wording: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Which profile, in which version: part of every result."""
        return f"{self.id}@{self.version}"

    def rules(self, kind: InstitutionKind, scenario: Scenario) -> ScenarioRules | None:
        """How this scenario goes at this kind of institution; None where it is not
        allowed."""
        return self.scenarios.get(kind, {}).get(scenario)

    def chosen(self) -> Iterator[Chosen]:
        """Everything that is allowed."""
        for kind, allowed in self.scenarios.items():
            for scenario, rules in allowed.items():
                yield Chosen(kind, scenario, rules)
