"""Region profiles: TOML files, checked, then turned into the frozen values of
`plugin.activation.region`. A profile is used as a whole or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from plugin import data_file
from plugin.activation.region import (
    CentreProfile,
    Check,
    Clocks,
    CountsFrom,
    Effect,
    NewPin,
    OldPin,
    PinPolicy,
    RegionProfile,
    Role,
    Scenario,
    ScenarioRules,
    Window,
)
from plugin.activation.saga import Abilities, Dedupe
from plugin.card.authentication import (
    Algorithm,
    Authentication,
    KeyIds,
    Means,
    Padding,
    PsamLayout,
)
from plugin.card.files import Access, Root
from plugin.card.medical import CpuLayout
from plugin.card.memory import CHIPS, Chip, Encoding, MemoryLayout, Place
from plugin.card.pin import DIGITS_MAX, DIGITS_MIN, Digits
from plugin.card.reading import Layouts
from plugin.card.stripe import CHARACTERS, Columns, StripeLayout
from plugin.data_file import DataFileError, FileMissingError
from plugin.settings import InstitutionKind
from plugin.shapes import Strict, WrongValueError, whole

REGIONS = Path(__file__).parent / "texts" / "regions"
_HOST = re.compile(r"[0-9a-z-]+(\.[0-9a-z-]+)*|[0-9a-f:]+")
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

Name = Annotated[str, Meta(min_length=1)]
OneCharacter = Annotated[str, Meta(min_length=1, max_length=1)]
KeyId = Annotated[int, Meta(ge=0, le=0xFF)]
Seconds = Annotated[int, Meta(ge=10, le=3600)]


class NameFile(Strict):
    """The city's name in both languages."""

    zh: Name
    en: Name


class ScenarioFile(Strict):
    """One scenario at one kind of institution."""

    steps: list[Literal["medical", "social_security"]]
    confirm: bool
    centre_required: bool

    def __post_init__(self) -> None:
        if len(set(self.steps)) != len(self.steps):
            raise WrongValueError("steps", "the same card twice")
        if "social_security" not in self.steps:
            raise WrongValueError(
                "steps", "no activation without the social security card"
            )


class PharmacyFile(Strict):
    """What a pharmacy may do."""

    pharmacy: ScenarioFile | None = None


class HospitalFile(PharmacyFile):
    """What a hospital may do."""

    outpatient_registration: ScenarioFile | None = None
    inpatient_registration: ScenarioFile | None = None


class ScenariosFile(Strict):
    """Scenarios by kind of institution."""

    pharmacy: PharmacyFile
    hospital: HospitalFile


class CpuCardFile(Strict):
    """How one kind of old CPU card is recognised."""

    spec_versions: list[OneCharacter]
    card_classes: list[OneCharacter]


class PlaceFile(Strict):
    """Where a field lies in a memory card."""

    offset: Annotated[int, Meta(ge=0, le=1023)]
    length: Annotated[int, Meta(ge=1, le=64)]
    encoding: Literal["ascii", "bcd", "gbk"]


class MemoryCardFile(Strict):
    """One kind of old memory card."""

    chip: Literal["sle4442", "sle4428"]
    number: PlaceFile
    social_security_number: PlaceFile | None = None
    name: PlaceFile | None = None

    def __post_init__(self) -> None:
        size = CHIPS[Chip(self.chip)].size
        for key in ("number", "social_security_number", "name"):
            place = getattr(self, key)
            if place is not None and place.offset + place.length > size:
                raise WrongValueError(key, f"a {self.chip} has {size} bytes")


class ColumnsFile(Strict):
    """Where a field lies on a stripe."""

    track: Annotated[int, Meta(ge=1, le=3)]
    offset: Annotated[int, Meta(ge=0)]
    length: Annotated[int, Meta(ge=1)] | None = None

    def __post_init__(self) -> None:
        size = CHARACTERS[self.track]
        if self.offset + (self.length or 1) > size:
            key = "offset" if self.length is None else "length"
            raise WrongValueError(key, f"track {self.track} has {size} characters")


class StripeFile(Strict):
    """One kind of magnetic stripe."""

    number: ColumnsFile
    social_security_number: ColumnsFile | None = None
    name: ColumnsFile | None = None


class MedicalCardsFile(Strict):
    """The old cards of the city."""

    cpu: list[CpuCardFile]
    memory: list[MemoryCardFile]
    stripe: list[StripeFile]

    def __post_init__(self) -> None:
        chips = [each.chip for each in self.memory]
        if len(set(chips)) != len(chips):
            raise WrongValueError("memory", "the same chip twice")


class KeyIdsFile(Strict):
    """Under which identifiers a PSAM keeps its masters."""

    internal: KeyId
    external: KeyId


class PsamFile(Strict):
    """How the PSAMs of the region are spoken to."""

    application: Annotated[str, whole(r"([0-9A-F]{2}){5,16}")]
    diversify: Annotated[str, whole(r"[0-9A-F]{6}")]
    factors: Annotated[list[Annotated[str, whole(r"[0-9A-F]{16}")]], Meta(max_length=2)]
    padding: Literal["zeros", "iso", "complement"]
    keys: dict[Literal["3des", "ssf33", "sm4"], KeyIdsFile]


class SocialSecurityCardFile(Strict):
    """How the new card is read and judged."""

    card_number: Literal["warn", "strict"]
    authenticate: list[Literal["psam", "hsm"]]
    psam: PsamFile | None = None

    def __post_init__(self) -> None:
        if len(set(self.authenticate)) != len(self.authenticate):
            raise WrongValueError("authenticate", "the same means twice")
        if "psam" in self.authenticate and self.psam is None:
            raise WrongValueError("authenticate", "it says psam, and there is no psam")


class FilesFile(Strict):
    """How files are reached on the cards of the region."""

    root: Literal["name", "mf", "ddf"]
    select: Literal["child", "any"]
    records: Literal["tag", "number"]


class DigitsFile(Strict):
    """How long a PIN is."""

    min: Annotated[int, Meta(ge=DIGITS_MIN, le=DIGITS_MAX)]
    max: Annotated[int, Meta(ge=DIGITS_MIN, le=DIGITS_MAX)]

    def __post_init__(self) -> None:
        if self.max < self.min:
            raise WrongValueError("max", "smaller than min")


class PinFile(Strict):
    """What is asked of PINs."""

    old: Literal["never", "if_set", "always"]
    new: Literal["none", "keep", "set", "change_initial"]
    initial: list[Annotated[str, whole(r"[0-9]+")]]
    digits: DigitsFile
    show_tries: bool
    probe: bool

    def __post_init__(self) -> None:
        allowed = range(self.digits.min, self.digits.max + 1)
        if any(len(each) not in allowed for each in self.initial):
            raise WrongValueError(
                "initial", "it has fewer or more digits than digits say"
            )
        if self.new == "change_initial" and not self.initial:
            raise WrongValueError("initial", "new changes initial PINs: name one")


class WindowFile(Strict):
    """A number of days."""

    days: Annotated[int, Meta(ge=1, le=3660)]
    counts_from: Literal["handed_over", "issued"]
    effect: Literal["warn", "block"]


class WindowsFile(Strict):
    """Both windows of the guidance."""

    activation: WindowFile
    financial: WindowFile


class ClocksFile(Strict):
    """Seconds."""

    card: Seconds
    confirm: Seconds
    pin: Annotated[int, Meta(ge=10, le=240)]
    centre: Annotated[int, Meta(ge=1, le=120)]


class CentreFile(Strict):
    """Who holds the truth, and what they can do."""

    adapter: Literal["reference"]
    address: str
    dedupe: Literal["id", "card", "duplicate_code", "none"]
    status: bool
    message_life: Annotated[int, Meta(ge=1, le=86_400)]

    def __post_init__(self) -> None:
        check_address("address", self.address)


class ProfileFile(Strict):
    """One region profile as it is written."""

    format: Literal[1]
    id: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    version: Annotated[str, Meta(pattern=r"^[0-9A-Za-z.-]{1,20}$")]
    name: NameFile
    scenarios: ScenariosFile
    medical_cards: MedicalCardsFile
    social_security_card: SocialSecurityCardFile
    files: FilesFile
    pin: PinFile
    windows: WindowsFile
    clocks: ClocksFile
    centre: CentreFile

    def __post_init__(self) -> None:
        wanted = any(
            "medical" in scenario.steps
            for kind in (self.scenarios.pharmacy, self.scenarios.hospital)
            for _, scenario in _given(kind)
        )
        cards = self.medical_cards
        if wanted and not (cards.cpu or cards.memory or cards.stripe):
            raise WrongValueError(
                "medical_cards.cpu", "a scenario asks for an old card: no kind is known"
            )


def check_address(key: str, address: str) -> None:
    """A centre's address is https, or http on this machine. Raises WrongValueError."""
    try:
        parts = urlsplit(address)
        named, _ = _HOST.fullmatch(parts.hostname or ""), parts.port
    except ValueError:
        raise WrongValueError(key, "not an address") from None
    if not named:
        raise WrongValueError(key, "the host is a name in ASCII or a number")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise WrongValueError(key, "an address has neither user nor query")
    if parts.scheme not in ("http", "https"):
        raise WrongValueError(key, "an address begins with https://")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise WrongValueError(key, "http only on this machine; use https://")


def profile_path(region: str) -> Path:
    """Where a region's file is: one of ours by its id, or a path."""
    ours = REGIONS / f"{region}.toml"
    return ours if ours.exists() else Path(region)


def load_profile(region: str) -> RegionProfile:
    """The profile of this id or path. Raises DataFileError."""
    try:
        return frozen(data_file.load(profile_path(region), ProfileFile))
    except FileMissingError as missing:
        known = ", ".join(sorted(each.stem for each in REGIONS.glob("*.toml")))
        raise DataFileError(
            region,
            "-",
            "neither a region we know nor a file",
            f"改为已有的地区（{known}）或规则文件的路径",
            f"write a region we know ({known}) or the path of a profile",
        ) from missing


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
        cards=_layouts(found),
        card_number=Check(found.social_security_card.card_number),
        pin=PinPolicy(
            old=OldPin(found.pin.old),
            new=NewPin(found.pin.new),
            initial=frozenset(found.pin.initial),
            digits=Digits(minimum=found.pin.digits.min, maximum=found.pin.digits.max),
            show_tries=found.pin.show_tries,
            probe=found.pin.probe,
        ),
        activation_window=_window(found.windows.activation),
        financial_window=_window(found.windows.financial),
        clocks=Clocks(
            card=found.clocks.card,
            confirm=found.clocks.confirm,
            pin=found.clocks.pin,
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


def _layouts(found: ProfileFile) -> Layouts:
    return Layouts(
        cpu=tuple(
            CpuLayout(
                spec_versions=tuple(card.spec_versions),
                card_classes=tuple(card.card_classes),
            )
            for card in found.medical_cards.cpu
        ),
        memory=tuple(
            MemoryLayout(
                chip=Chip(card.chip),
                number=_place(card.number),
                social_security_number=_place_or_none(card.social_security_number),
                name=_place_or_none(card.name),
            )
            for card in found.medical_cards.memory
        ),
        stripe=tuple(
            StripeLayout(
                number=_columns(card.number),
                social_security_number=_columns_or_none(card.social_security_number),
                name=_columns_or_none(card.name),
            )
            for card in found.medical_cards.stripe
        ),
        authentication=_authentication(found.social_security_card),
        access=Access(
            root=Root(found.files.root),
            select_any=found.files.select == "any",
            by_number=found.files.records == "number",
        ),
    )


def _place(found: PlaceFile) -> Place:
    return Place(
        offset=found.offset, length=found.length, encoding=Encoding(found.encoding)
    )


def _place_or_none(found: PlaceFile | None) -> Place | None:
    return _place(found) if found is not None else None


def _columns(found: ColumnsFile) -> Columns:
    return Columns(track=found.track, offset=found.offset, length=found.length)


def _columns_or_none(found: ColumnsFile | None) -> Columns | None:
    return _columns(found) if found is not None else None


def _authentication(found: SocialSecurityCardFile) -> Authentication:
    means = tuple(map(Means, found.authenticate))
    if found.psam is None:
        return Authentication(means=means)
    layout = PsamLayout(
        application=bytes.fromhex(found.psam.application),
        diversify=bytes.fromhex(found.psam.diversify),
        factors=tuple(map(bytes.fromhex, found.psam.factors)),
        keys={
            Algorithm(name): KeyIds(internal=each.internal, external=each.external)
            for name, each in found.psam.keys.items()
        },
        padding=Padding(found.psam.padding),
    )
    return Authentication(means=means, psam=layout)


def _given(kind: PharmacyFile) -> Iterator[tuple[str, ScenarioFile]]:
    for name, scenario in msgspec.structs.asdict(kind).items():
        if scenario is not None:
            yield name, scenario


def _scenarios(found: PharmacyFile) -> dict[Scenario, ScenarioRules]:
    return {
        Scenario(name): ScenarioRules(
            steps=tuple(map(Role, scenario.steps)),
            confirm=scenario.confirm,
            centre_required=scenario.centre_required,
        )
        for name, scenario in _given(found)
    }


def _window(found: WindowFile) -> Window:
    return Window(
        days=found.days,
        counts_from=CountsFrom(found.counts_from),
        effect=Effect(found.effect),
    )
