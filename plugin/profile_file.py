"""Region profiles: TOML files, checked, then turned into the frozen values of
`plugin.activation.region`. A profile is used as a whole or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, field_validator, model_validator

from plugin import data_file
from plugin.activation.region import (
    CentreProfile,
    Check,
    Clocks,
    CountsFrom,
    Effect,
    RegionProfile,
    Role,
    Scenario,
    ScenarioRules,
    Window,
)
from plugin.activation.saga import Abilities, Dedupe
from plugin.card.medical import CpuLayout
from plugin.data_file import Strict
from plugin.settings import InstitutionKind

REGIONS = Path(__file__).parent / "texts" / "regions"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

OneCharacter = Annotated[str, Field(min_length=1, max_length=1)]
RoleName = Annotated[Role, BeforeValidator(lambda value: _member(Role, value))]


def _member(kind: type[Role], value: object) -> Role:
    try:
        return kind(str(value))
    except ValueError as unknown:
        known = ", ".join(kind)
        raise ValueError(f"one of {known}") from unknown


class NameFile(Strict):
    """The city's name in both languages."""

    zh: str = Field(min_length=1)
    en: str = Field(min_length=1)


class ScenarioFile(Strict):
    """One scenario at one kind of institution."""

    steps: list[RoleName]
    confirm: bool
    centre_required: bool

    @field_validator("steps")
    @classmethod
    def _steps_make_sense(cls, steps: list[Role]) -> list[Role]:
        if len(set(steps)) != len(steps):
            raise ValueError("the same card twice")
        if Role.SOCIAL_SECURITY not in steps:
            raise ValueError("no activation without the social security card")
        return steps


class ScenariosFile(Strict):
    """Scenarios by kind of institution."""

    pharmacy: dict[Literal["pharmacy"], ScenarioFile]
    hospital: dict[
        Literal["pharmacy", "outpatient_registration", "inpatient_registration"],
        ScenarioFile,
    ]


class CpuCardFile(Strict):
    """How one kind of old CPU card is recognised."""

    spec_versions: list[OneCharacter]
    card_classes: list[OneCharacter]


class MedicalCardsFile(Strict):
    """The old cards of the city."""

    cpu: list[CpuCardFile]


class SocialSecurityCardFile(Strict):
    """How the new card is judged."""

    card_number: Literal["warn", "strict"]


class WindowFile(Strict):
    """A number of days."""

    days: int = Field(ge=1, le=3660)
    counts_from: Literal["handed_over", "issued"]
    effect: Literal["warn", "block"]


class WindowsFile(Strict):
    """Both windows of the guidance."""

    activation: WindowFile
    financial: WindowFile


class ClocksFile(Strict):
    """Seconds."""

    card: int = Field(ge=10, le=3600)
    confirm: int = Field(ge=10, le=3600)
    centre: int = Field(ge=1, le=120)


class CentreFile(Strict):
    """Who holds the truth, and what they can do."""

    adapter: Literal["reference"]
    address: str
    dedupe: Literal["id", "card", "duplicate_code", "none"]
    status: bool
    message_life: int = Field(ge=1, le=86_400)

    @field_validator("address")
    @classmethod
    def _is_safe(cls, address: str) -> str:
        return checked_address(address)


class ProfileFile(Strict):
    """One region profile as it is written."""

    format: Literal[1]
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    version: str = Field(pattern=r"^[0-9A-Za-z.-]{1,20}$")
    name: NameFile
    scenarios: ScenariosFile
    medical_cards: MedicalCardsFile
    social_security_card: SocialSecurityCardFile
    windows: WindowsFile
    clocks: ClocksFile
    centre: CentreFile

    @model_validator(mode="after")
    def _old_cards_can_be_recognised(self) -> ProfileFile:
        wanted = any(
            Role.MEDICAL in scenario.steps
            for kind in (self.scenarios.pharmacy, self.scenarios.hospital)
            for scenario in kind.values()
        )
        if wanted and not self.medical_cards.cpu:
            raise ValueError("a scenario asks for an old card and no kind is known")
        return self


def checked_address(address: str) -> str:
    """A centre's address: https, or http on this machine. Raises ValueError."""
    parts = urlsplit(address)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("an address has neither user nor query")
    if not parts.hostname or parts.scheme not in ("http", "https"):
        raise ValueError("an address begins with https://")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ValueError("http only on this machine; use https://")
    return address


def profile_path(region: str) -> Path:
    """Where a region's file is: one of ours by its id, or a path."""
    ours = REGIONS / f"{region}.toml"
    return ours if ours.exists() else Path(region)


def load_profile(region: str) -> RegionProfile:
    """The profile of this id or path. Raises DataFileError."""
    return frozen(data_file.load(profile_path(region), ProfileFile))


def frozen(found: ProfileFile) -> RegionProfile:
    """A checked file as the values the rules work with."""
    return RegionProfile(
        id=found.id,
        version=found.version,
        name={"zh-CN": found.name.zh, "en": found.name.en},
        scenarios={
            InstitutionKind.PHARMACY: _scenarios(found.scenarios.pharmacy),
            InstitutionKind.HOSPITAL: _scenarios(found.scenarios.hospital),
        },
        cpu_cards=tuple(
            CpuLayout(
                spec_versions=tuple(card.spec_versions),
                card_classes=tuple(card.card_classes),
            )
            for card in found.medical_cards.cpu
        ),
        card_number=Check(found.social_security_card.card_number),
        activation_window=_window(found.windows.activation),
        financial_window=_window(found.windows.financial),
        clocks=Clocks(
            card=found.clocks.card,
            confirm=found.clocks.confirm,
            centre=found.clocks.centre,
        ),
        centre=CentreProfile(
            adapter=found.centre.adapter,
            address=found.centre.address,
            abilities=Abilities(
                dedupe=Dedupe(found.centre.dedupe),
                can_tell_status=found.centre.status,
                message_life_ms=found.centre.message_life * 1000,
            ),
        ),
    )


def _scenarios(found: Mapping[Any, ScenarioFile]) -> dict[Scenario, ScenarioRules]:
    return {
        Scenario(name): ScenarioRules(
            steps=tuple(scenario.steps),
            confirm=scenario.confirm,
            centre_required=scenario.centre_required,
        )
        for name, scenario in found.items()
    }


def _window(found: WindowFile) -> Window:
    return Window(
        days=found.days,
        counts_from=CountsFrom(found.counts_from),
        effect=Effect(found.effect),
    )
