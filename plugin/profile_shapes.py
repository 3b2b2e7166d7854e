"""What a region profile may say: the shapes of its tables, and what must fit together among
them. An impossible combination is a mistake of the file and named as one.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from plugin.activation.region import (
    ACTIVE,
    CAUSES,
    HAVE_WAYS_BACK,
    Offers,
)
from plugin.card.memory import CHIPS, Chip
from plugin.card.pin import DIGITS_MAX, DIGITS_MIN
from plugin.card.stripe import CHARACTERS
from plugin.centre.adapters import OFFERS
from plugin.shapes import Strict, WrongValueError, whole

TEXTS = Path(__file__).parent / "texts"
_VISIBLE = re.compile(r"[!-~]+")
_HOST = re.compile(r"[0-9a-z-]{1,63}(\.[0-9a-z-]{1,63})*|[0-9a-f:]+")
REGION_ID = r"[a-z0-9][a-z0-9-]{0,39}"
HERE = "here"  # the place where this till is
NAME_A_CARD = ("identification_code", "social_security_number")
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

Name = Annotated[str, Meta(min_length=1)]
OneCharacter = Annotated[str, Meta(min_length=1, max_length=1)]
KeyId = Annotated[int, Meta(ge=0, le=0xFF)]
Seconds = Annotated[int, Meta(ge=10, le=3600)]
ReturnCode = Annotated[str, whole(r"\S{1,20}")]
XmlName = Annotated[str, whole(r"[A-Za-z_][0-9A-Za-z_.-]{0,39}")]


class WordsFile(Strict):
    """One thing in both languages, on one line of a terminal."""

    zh: Name
    en: Name

    def __post_init__(self) -> None:
        _check_printable("zh", self.zh)
        _check_printable("en", self.en)


class ScenarioFile(Strict):
    """One scenario at one kind of institution."""

    steps: list[Literal["medical", "social_security"]]
    activation_by: Literal["centre", "registration", "pin_change"]
    confirm: bool
    centre_required: bool

    def __post_init__(self) -> None:
        if len(set(self.steps)) != len(self.steps):
            raise WrongValueError("steps", "the same card twice")
        if "social_security" not in self.steps:
            raise WrongValueError(
                "steps", "no activation without the social security card"
            )
        if self.activation_by == "registration" and "medical" in self.steps:
            raise WrongValueError(
                "activation_by", "no visit is registered with an old card"
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

    match: Literal["number", "centre"]
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


class HoldersFile(Strict):
    """Whose cards may be activated."""

    first_replacement_only: bool
    minimum_age: Annotated[int, Meta(ge=0, le=120)]
    proxies: list[Name]


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
    new_when: Literal["always", "old_had_one"]
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
        if self.new_when == "old_had_one" and self.old == "never":
            raise WrongValueError(
                "new_when", "the old card is never asked whether it has a PIN"
            )


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
    registration: Seconds
    centre: Annotated[int, Meta(ge=1, le=120)]


class RefusalFile(Strict):
    """What one "no" of the centre means."""

    means: str
    code: Name | None = None
    contains: Name | None = None

    def always_before(self, later: RefusalFile) -> bool:
        """Whether every refusal that a later rule fits is taken by this one."""
        return self.code in (None, later.code) and (
            self.contains is None or self.contains in (later.contains or "")
        )

    def __post_init__(self) -> None:
        # What a centre says is without what is not printable when rules see it.
        _check_printable("code", self.code or "")
        _check_printable("contains", self.contains or "")
        if self.code is None and self.contains is None:
            raise WrongValueError("code", "neither code nor contains: it fits nothing")
        if self.means not in (ACTIVE, *CAUSES):
            raise WrongValueError("means", _one_of((ACTIVE, *sorted(CAUSES))))


class EnvelopeFile(Strict):
    """The XML dialect with transaction 2132."""

    path: Annotated[str, whole(r"/[!-~]{0,199}")]
    root: XmlName
    encoding: Literal["utf-8", "gb18030"]
    insurance: Annotated[str, Meta(max_length=20)]
    operator: Annotated[str, Meta(min_length=1, max_length=30)]
    accepted: Annotated[list[ReturnCode], Meta(min_length=1)]
    refused: Annotated[list[ReturnCode], Meta(min_length=1)]
    id_length: Annotated[int, Meta(ge=20, le=64)]
    time: Literal["yyyyMMddHHmmss", "yyyy-MM-dd HH:mm:ss"]
    input: dict[
        XmlName,
        Literal[
            "identification_code",
            "card_number",
            "social_security_number",
            "name",
            "issue_date",
            "medical_number",
        ],
    ]

    def __post_init__(self) -> None:
        if set(self.accepted) & set(self.refused):
            raise WrongValueError("refused", "the same as accepted")
        _check_printable("accepted", "".join(self.accepted))
        _check_printable("refused", "".join(self.refused))
        if not set(NAME_A_CARD) & set(self.input.values()):
            raise WrongValueError(
                "input", f"it says whose card it is by {' or '.join(NAME_A_CARD)}"
            )
        if "?" in self.path or "#" in self.path:
            raise WrongValueError("path", "an address has neither query nor fragment")


class CentreFile(Strict):
    """Who holds the truth, and what they can do."""

    adapter: Literal["reference", "enable2132"]
    address: str
    dedupe: Literal["id", "card", "duplicate_code", "none"]
    status: bool
    message_life: Annotated[int, Meta(ge=1, le=86_400)]
    refusals: list[RefusalFile]
    enable2132: EnvelopeFile | None = None

    def __post_init__(self) -> None:
        check_address("address", self.address)
        if (self.adapter == "enable2132") != (self.enable2132 is not None):
            reason = "only the adapter enable2132 has it, and that must"
            raise WrongValueError("enable2132", reason)
        if self.status and not self.offers.activation_status:
            raise WrongValueError("status", f"{self.adapter} has no such question")
        if self.dedupe in ("id", "card") and not self.status:
            raise WrongValueError(
                "dedupe", "that is found out by asking, and status is false"
            )
        told = any(each.means == ACTIVE for each in self.refusals)
        if self.dedupe == "duplicate_code" and not told:
            raise WrongValueError(
                "dedupe", 'no refusal means "active": nothing tells a duplicate'
            )
        _check_refusals(self)

    @property
    def offers(self) -> Offers:
        """What the adapter has a question for."""
        return OFFERS[self.adapter]


def _check_refusals(found: CentreFile) -> None:
    """Every rule can be the first that fits, and no rule takes refusals of every kind for
    a card that is active."""
    rules = found.refusals
    for at, rule in enumerate(rules):
        for before, earlier in enumerate(rules[:at]):
            if earlier.always_before(rule):
                raise WrongValueError(
                    f"refusals[{at}]",
                    f"refusals[{before}] before it fits whatever it fits",
                )
    codes = [each.code for each in rules]
    for at, rule in enumerate(rules):
        if rule.means != ACTIVE or rule.contains is not None:
            continue
        if found.adapter == "enable2132" or codes.count(rule.code) > 1:
            raise WrongValueError(
                f"refusals[{at}].contains",
                "its code has other refusals too: only words tell an active card",
            )


class ProfileFile(Strict):
    """One region profile as it is written."""

    format: Literal[1]
    id: Annotated[str, whole(REGION_ID)]
    version: Annotated[str, whole(r"[0-9A-Za-z.-]{1,20}")]
    name: WordsFile
    scenarios: ScenariosFile
    medical_cards: MedicalCardsFile
    social_security_card: SocialSecurityCardFile
    files: FilesFile
    holders: HoldersFile
    pin: PinFile
    windows: WindowsFile
    clocks: ClocksFile
    centre: CentreFile
    ways_back: dict[str, Annotated[list[Name], Meta(min_length=1)]]
    places: dict[str, WordsFile]
    wording: dict[str, WordsFile]

    def __post_init__(self) -> None:
        for check in (
            _check_cards,
            _check_activation,
            _check_one_way,
            _check_offers,
            _check_words,
        ):
            check(self)


def _check_cards(found: ProfileFile) -> None:
    """An old card that is asked for must be of a known kind."""
    wanted = any("medical" in each.steps for _, each in _every_scenario(found))
    cards = found.medical_cards
    if wanted and not (cards.cpu or cards.memory or cards.stripe):
        raise WrongValueError(
            "medical_cards.cpu", "a scenario asks for an old card: no kind is known"
        )


def _check_activation(found: ProfileFile) -> None:
    """What makes a card active must be able to."""
    for place, scenario in _every_scenario(found):
        key, by = f"{place}.activation_by", scenario.activation_by
        if by == "pin_change" and found.pin.new != "change_initial":
            raise WrongValueError(key, "pin.new is not change_initial")
        if by == "pin_change" and found.pin.new_when != "always":
            raise WrongValueError(key, "pin.new_when changes it for some only")
        if by == "registration" and not found.centre.offers.card_status:
            raise WrongValueError(
                key, f"{found.centre.adapter} cannot say whether it has become active"
            )


def _check_one_way(found: ProfileFile) -> None:
    """A card that is activated by its PIN is not activated by a message as well: of two
    ways one could be open while the other is in doubt."""
    ways = {each.activation_by: place for place, each in _every_scenario(found)}
    if "pin_change" in ways and "centre" in ways:
        raise WrongValueError(
            f"{ways['centre']}.activation_by",
            "elsewhere the change of the PIN activates",
        )


def _check_offers(found: ProfileFile) -> None:
    """What the rules need to be told, the centre must be able to tell."""
    offers, adapter = found.centre.offers, found.centre.adapter
    blocking = [
        f"windows.{name}.effect"
        for name in ("activation", "financial")
        if getattr(found.windows, name).effect == "block"
    ]
    needs_status = [
        *blocking,
        *(["holders.minimum_age"] if found.holders.minimum_age else []),
        *(
            ["holders.first_replacement_only"]
            if found.holders.first_replacement_only
            else []
        ),
    ]
    if needs_status and not offers.card_status:
        reason = f"{adapter} cannot be asked how a card stands, nor today"
        raise WrongValueError(needs_status[0], reason)
    if found.medical_cards.match == "centre" and not offers.match:
        reason = f"{adapter} cannot be asked whose an old card is"
        raise WrongValueError("medical_cards.match", reason)
    means = found.social_security_card.authenticate
    if "hsm" in means and not offers.authenticate:
        reason = f"{adapter} cannot be asked for an HSM's cryptogram"
        raise WrongValueError("social_security_card.authenticate", reason)


def _check_words(found: ProfileFile) -> None:
    """Ways, places and moments are those of our texts."""
    _check_known("ways_back", found.ways_back, HAVE_WAYS_BACK)
    if found.ways_back or found.places or found.holders.proxies:
        known = _texts("ways")
        for code, ways in found.ways_back.items():
            if len(set(ways)) != len(ways):
                raise WrongValueError(f"ways_back.{code}", "the same way twice")
            if not set(ways) <= set(known["ways"]):
                raise WrongValueError(f"ways_back.{code}", _one_of(known["ways"]))
        _check_known("places", found.places, known["places"])
        _check_proxies(found.holders.proxies, known)
    if found.wording:
        _check_known("wording", found.wording, _texts("prompts"))


def _check_proxies(proxies: Iterable[str], known: Mapping[str, Any]) -> None:
    """Somebody else is sent to another place, for what need not be done in person."""
    stops = [stop for way in known["ways"].values() for stop in way]
    possible = {stop["place"] for stop in stops if not stop.get("in_person")} - {HERE}
    for place in proxies:
        if place == HERE:
            raise WrongValueError("holders.proxies", "nobody is sent to where they are")
        if place not in known["places"]:
            raise WrongValueError("holders.proxies", _one_of(sorted(possible)))
        if place not in possible:
            reason = f"whatever is done at {place} the holder does in person"
            raise WrongValueError("holders.proxies", reason)


def _check_known(table: str, keys: Iterable[str], known: Collection[str]) -> None:
    """A table's keys are among those of our texts."""
    for key in keys:
        if key not in known:
            raise WrongValueError(f"{table}.{key}", _one_of(sorted(known)))


def _texts(name: str) -> dict[str, Any]:
    """One of our own files."""
    content = (TEXTS / f"{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(content)


def _check_printable(key: str, text: str) -> None:
    """What is shown cannot move a terminal's cursor nor hide. Raises WrongValueError."""
    for each in text:
        if not each.isprintable():
            raise WrongValueError(key, f"U+{ord(each):04X} is not printable")


def _one_of(names: Iterable[str]) -> str:
    return f"one of: {', '.join(names)}"


def given(kind: PharmacyFile) -> Iterator[tuple[str, ScenarioFile]]:
    for name, scenario in msgspec.structs.asdict(kind).items():
        if scenario is not None:
            yield name, scenario


def _every_scenario(found: ProfileFile) -> Iterator[tuple[str, ScenarioFile]]:
    for kind in ("pharmacy", "hospital"):
        for name, scenario in given(getattr(found.scenarios, kind)):
            yield f"scenarios.{kind}.{name}", scenario


def check_address(key: str, address: str) -> None:
    """A centre's address is https, or http on this machine. Raises WrongValueError."""
    if not _VISIBLE.fullmatch(address):  # urlsplit leaves line ends out
        raise WrongValueError(key, "not an address")
    if set(address) & set("@?#"):  # urlsplit finds nothing in an empty one
        raise WrongValueError(key, "an address has neither user nor query nor fragment")
    try:
        parts = urlsplit(address)
        named, _ = _HOST.fullmatch(parts.hostname or ""), parts.port
    except ValueError:
        raise WrongValueError(key, "not an address") from None
    if not named:
        reason = "the host is a name in ASCII or a number, at most 63 characters a part"
        raise WrongValueError(key, reason)
    if parts.scheme not in ("http", "https"):
        raise WrongValueError(key, "an address begins with https://")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise WrongValueError(key, "http only on this machine; use https://")
