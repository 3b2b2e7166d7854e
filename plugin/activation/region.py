"""What differs between cities, as frozen values (design of profiles: domain facts, 12)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

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


class PinPolicy(Struct, frozen=True, kw_only=True):
    """What a region wants of PINs. `initial` are those of the card maker, which no holder
    may keep; `probe` says that its cards tell the tries left when asked with nothing."""

    old: OldPin = OldPin.NEVER
    new: NewPin = NewPin.NONE
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
    """How one scenario goes: the cards in their order, whether the operator confirms, and
    whether the queue goes on when the centre cannot be reached."""

    steps: tuple[Role, ...]
    confirm: bool
    centre_required: bool


class Clocks(Struct, frozen=True, kw_only=True):
    """Seconds until nobody is waited for any more, each clock on its own."""

    card: int = 120
    confirm: int = 120
    pin: int = 60
    centre: int = 20


class CentreProfile(Struct, frozen=True, kw_only=True):
    """Which adapter speaks to the centre, where, and what that centre can do."""

    adapter: str
    address: str
    abilities: Abilities


class RegionProfile(Struct, frozen=True, kw_only=True):
    """One city's rules. `name` maps a language to the city's name."""

    id: str
    version: str
    name: Mapping[str, str]
    scenarios: Mapping[InstitutionKind, Mapping[Scenario, ScenarioRules]]
    cards: Layouts
    card_number: Check
    pin: PinPolicy
    activation_window: Window
    financial_window: Window
    clocks: Clocks
    centre: CentreProfile

    @property
    def label(self) -> str:
        """Which profile, in which version: part of every result."""
        return f"{self.id}@{self.version}"

    def rules(self, kind: InstitutionKind, scenario: Scenario) -> ScenarioRules | None:
        """How this scenario goes at this kind of institution; None where it is not
        allowed."""
        return self.scenarios.get(kind, {}).get(scenario)
