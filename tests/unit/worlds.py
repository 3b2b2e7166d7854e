"""Small worlds for the pure rooms: a profile, cards and a desk, made of real values."""

from __future__ import annotations

from datetime import date

from msgspec.structs import replace

from drivers.conversation import nobody
from drivers.iso7816.apdu import ResponseApdu
from plugin.activation.desk import Slot, Terms
from plugin.activation.region import ActivationBy, PinPolicy, RegionProfile, Scenario
from plugin.activation.rules import CardStatus, Standing
from plugin.card.medical import MedicalCard
from plugin.card.reading import read_card
from plugin.card.social_security import SocialSecurityCard
from plugin.profile_file import load_profile
from plugin.settings import InstitutionKind
from simulator.card.engine import CardEngine
from simulator.card.psam import PsamEngine
from simulator.people import card as of_the_cast
from tests.terminal import Terminal
from tests.transcript import play

PROFILE: RegionProfile = load_profile("reference")
TODAY = date(2026, 11, 22)
INACTIVE = CardStatus(standing=Standing.INACTIVE, today=TODAY, handed_over=TODAY)


def read(name: str) -> SocialSecurityCard | MedicalCard:
    """A card of the cast as the agent reads it."""
    card = of_the_cast(name)
    found, _ = play(
        read_card(PROFILE.cards, card.atr),
        lambda command: ResponseApdu.parse(card.process(bytes(command))),
        Terminal(card, PsamEngine()).run if isinstance(card, CardEngine) else nobody,
    )
    return found


def social_security(person: str = "lin") -> SocialSecurityCard:
    """Somebody's new card."""
    card = read(f"{person}.social_security")
    assert isinstance(card, SocialSecurityCard)
    return card


def medical(person: str = "lin") -> MedicalCard:
    """Somebody's old card."""
    card = read(f"{person}.medical")
    assert isinstance(card, MedicalCard)
    return card


def terms(
    scenario: Scenario = Scenario.PHARMACY,
    *,
    simulated: bool = True,
    pin: PinPolicy | None = None,
    by: ActivationBy = ActivationBy.CENTRE,
    dry_run: bool = False,
) -> Terms:
    """The reference region at a hospital, where every scenario is allowed, perhaps with
    another rule of PINs, or of what makes a card active."""
    rules = PROFILE.rules(InstitutionKind.HOSPITAL, scenario)
    assert rules is not None
    profile = replace(PROFILE, pin=pin or PROFILE.pin)
    return Terms(
        scenario=scenario,
        rules=replace(rules, activation_by=by),
        profile=profile,
        simulated=simulated,
        dry_run=dry_run,
    )


def slots(*stays: str | None) -> tuple[Slot, ...]:
    """Readers r1, r2 ... with these stays in them."""
    return tuple(Slot(f"r{number}", stay) for number, stay in enumerate(stays, start=1))
