"""Region profiles: TOML files, checked, then turned into the frozen values of
`plugin.activation.region`. A profile is used as a whole or not at all.
"""

from __future__ import annotations

from pathlib import Path

from plugin import data_file
from plugin.activation.region import (
    ActivationBy,
    CentreProfile,
    Check,
    Clocks,
    CountsFrom,
    Effect,
    Envelope,
    Holders,
    MatchBy,
    NewPin,
    NewPinWhen,
    OldPin,
    PinPolicy,
    RefusalRule,
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
from plugin.card.memory import Chip, Encoding, MemoryLayout, Place
from plugin.card.pin import Digits
from plugin.card.reading import Layouts
from plugin.card.stripe import Columns, StripeLayout
from plugin.data_file import DataFileError, FileMissingError
from plugin.profile_shapes import (
    TEXTS,
    CentreFile,
    ColumnsFile,
    EnvelopeFile,
    PharmacyFile,
    PlaceFile,
    ProfileFile,
    SocialSecurityCardFile,
    WindowFile,
    WordsFile,
    given,
)
from plugin.settings import InstitutionKind

REGIONS = TEXTS / "regions"


def profile_path(region: str) -> Path:
    """Where a region's file is: one of ours by its id, or a path."""
    ours = {each.stem: each for each in REGIONS.glob("*.toml")}
    return ours.get(region, Path(region))


def load_profile(region: str) -> RegionProfile:
    """The profile of this id or path. Raises DataFileError."""
    try:
        return frozen(data_file.load(profile_path(region), ProfileFile))
    except FileMissingError as missing:
        known = ", ".join(sorted(each.stem for each in REGIONS.glob("*.toml")))
        raise DataFileError(
            region,
            None,
            "neither a region we know nor a file",
            f"改为已有的地区（{known}）或规则文件的路径",
            f"write a region we know ({known}) or the path of a profile",
        ) from missing


def frozen(found: ProfileFile) -> RegionProfile:
    """A checked file as the values the rules work with."""
    return RegionProfile(
        id=found.id,
        version=found.version,
        name=_words(found.name),
        scenarios={
            InstitutionKind.PHARMACY: _scenarios(found.scenarios.pharmacy),
            InstitutionKind.HOSPITAL: _scenarios(found.scenarios.hospital),
        },
        cards=_layouts(found),
        match=MatchBy(found.medical_cards.match),
        holders=Holders(
            first_replacement_only=found.holders.first_replacement_only,
            minimum_age=found.holders.minimum_age,
            proxies=frozenset(found.holders.proxies),
        ),
        card_number=Check(found.social_security_card.card_number),
        pin=PinPolicy(
            old=OldPin(found.pin.old),
            new=NewPin(found.pin.new),
            new_when=NewPinWhen(found.pin.new_when),
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
            registration=found.clocks.registration,
            centre=found.clocks.centre,
        ),
        centre=_centre(found.centre),
        ways_back={code: tuple(ways) for code, ways in found.ways_back.items()},
        places={key: _words(each) for key, each in found.places.items()},
        wording={key: _words(each) for key, each in found.wording.items()},
    )


def _words(found: WordsFile) -> dict[str, str]:
    return {"zh-CN": found.zh, "en": found.en}


def _centre(found: CentreFile) -> CentreProfile:
    return CentreProfile(
        adapter=found.adapter,
        address=found.address,
        abilities=Abilities(
            dedupe=Dedupe(found.dedupe),
            can_tell_status=found.status,
            message_life_ms=found.message_life * 1000,
        ),
        offers=found.offers,
        refusals=tuple(
            RefusalRule(means=each.means, code=each.code, contains=each.contains)
            for each in found.refusals
        ),
        envelope=_envelope(found.enable2132) if found.enable2132 else None,
    )


def _envelope(found: EnvelopeFile) -> Envelope:
    return Envelope(
        path=found.path,
        root=found.root,
        encoding=found.encoding,
        insurance=found.insurance,
        operator=found.operator,
        accepted=frozenset(found.accepted),
        refused=frozenset(found.refused),
        id_length=found.id_length,
        compact_time=found.time == "yyyyMMddHHmmss",
        input=dict(found.input),
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


def _scenarios(found: PharmacyFile) -> dict[Scenario, ScenarioRules]:
    return {
        Scenario(name): ScenarioRules(
            steps=tuple(map(Role, scenario.steps)),
            activation_by=ActivationBy(scenario.activation_by),
            confirm=scenario.confirm,
            centre_required=scenario.centre_required,
        )
        for name, scenario in given(found)
    }


def _window(found: WindowFile) -> Window:
    return Window(
        days=found.days,
        counts_from=CountsFrom(found.counts_from),
        effect=Effect(found.effect),
    )
