"""`kaqi region`: region profiles are listed, begun, checked; `explaining` says what they mean."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from drivers.ports import PinOperation
from plugin import data_file
from plugin.activation import flow, pins
from plugin.activation.pins import Talk
from plugin.activation.problem import Problem
from plugin.activation.region import (
    ActivationBy,
    Chosen,
    MatchBy,
    RegionProfile,
    Role,
    Scenario,
)
from plugin.activation.saga import Dedupe
from plugin.commands import screen
from plugin.commands.failing import CannotError
from plugin.commands.wording import say, texts
from plugin.data_file import DataFileError
from plugin.profile_file import REGIONS, load_profile, profile_path
from plugin.profile_shapes import REGION_ID, ProfileFile
from plugin.settings import InstitutionKind

REFERENCE = "reference"
_KEYPAD = frozenset(PinOperation)
_POSSIBLE: Mapping[InstitutionKind, tuple[Scenario, ...]] = {
    InstitutionKind.PHARMACY: (Scenario.PHARMACY,),
    InstitutionKind.HOSPITAL: tuple(Scenario),
}


def loaded(region: str) -> RegionProfile:
    """The profile of this id or path. Raises CannotError."""
    try:
        return load_profile(region)
    except DataFileError as wrong:
        raise CannotError(Problem("profile.invalid", wrong.facts)) from wrong


def usage(key: str, **parts: object) -> CannotError:
    """What is wrong with what was asked for, in the operator's language."""
    reason = screen.said(texts("lines", key, **parts))
    return CannotError(Problem("command.usage", {"reason": reason}))


# list


def show_all(*, as_json: bool) -> int:
    """Every region that comes with kaqi."""
    known = [loaded(each.stem) for each in sorted(REGIONS.glob("*.toml"))]
    if as_json:
        screen.json_line([_listed(each) for each in known])
        return 0
    for profile in known:
        screen.line(f"{profile.label}  {screen.said(profile.name)}")
        for each in profile.chosen():
            screen.line(f"    {screen.said(in_words(each))}")
    return 0


def in_words(chosen: Chosen) -> dict[str, str]:
    """One scenario in one line, by language."""
    return {
        language: say(
            "lines",
            "listed",
            language,
            kind=say("kinds", chosen.kind, language),
            scenario=say("scenarios", chosen.scenario, language),
            by=chosen.rules.activation_by.value,
        )
        for language in (screen.CHINESE, screen.ENGLISH)
    }


def _listed(profile: RegionProfile) -> dict[str, Any]:
    return {
        "id": profile.id,
        "version": profile.version,
        "name": dict(profile.name),
        "scenarios": [
            {
                "kind": each.kind.value,
                "scenario": each.scenario.value,
                "steps": [role.value for role in each.rules.steps],
                "activation_by": each.rules.activation_by.value,
            }
            for each in profile.chosen()
        ],
    }


# new


def begin(
    file: Path,
    *,
    region_id: str | None,
    name_zh: str | None,
    name_en: str | None,
    like: str,
) -> int:
    """Write a profile to start from, with every key explained. Raises CannotError: what is
    there already stays as it is."""
    region_id = region_id or file.stem
    name = {"zh": name_zh or region_id, "en": name_en or region_id}
    try:
        _check_id(file, region_id)
        text = _begun(loaded(like), profile_path(like), region_id, name)
        data_file.check(file.name, tomllib.loads(text), ProfileFile)
        content = text.encode()
    except DataFileError as wrong:
        raise CannotError(Problem("profile.invalid", wrong.facts)) from wrong
    except ValueError as wrong:  # no TOML, no UTF-8: a name was odd
        raise usage("not_written", file=file, reason=wrong) from wrong
    _write_new(file, content)
    label = f"{region_id}@1"
    screen.line(screen.said(texts("lines", "written", file=file, label=label)))
    quoted = json.dumps(str(file), ensure_ascii=False)
    for number, key in enumerate(
        ("then_edit", "then_check", "then_explain", "then_use"), start=1
    ):
        next_step = screen.said(texts("lines", key, file=file, quoted=quoted))
        screen.line(f"  {number}. {next_step}")
    return 0


def _check_id(file: Path, region_id: str) -> None:
    """Whoever did not say an id is told what it is and how to. Raises DataFileError."""
    if not re.fullmatch(REGION_ID, region_id):
        raise DataFileError(
            file.name,
            "id",
            "not an id",
            "用 --id 给一个由小写字母、数字和 - 组成的编号，最多 40 个字符，不以 - 开头",
            "give --id: at most 40 lower-case letters, digits and -, not - first",
        )


def _write_new(file: Path, content: bytes) -> None:
    try:
        with file.open("xb") as written:
            written.write(content)
    except FileExistsError as there:
        raise usage("exists", file=file) from there
    except (OSError, ValueError) as failed:
        reason = getattr(failed, "strerror", None) or str(failed)
        raise usage("not_written", file=file, reason=reason) from failed


_HEADER = re.compile(r"\[+[^\]]+\]+")


def _begun(
    like: RegionProfile, path: Path, region_id: str, name: Mapping[str, str]
) -> str:
    """The text of `like`'s file under another name, with the comments of reference.toml. Raises
    ValueError where it is written in a way that cannot be continued."""
    reference = (REGIONS / f"{REFERENCE}.toml").read_text(encoding="utf-8")
    before = data_file.written(path, path.name)
    known = {each for each in reference.splitlines() if each.startswith("#")}
    explained = _placed(_comments(reference), before)
    own = {
        "id": _quoted(region_id),
        "version": _quoted("1"),
        "name": f"{{ zh = {_quoted(name['zh'])}, en = {_quoted(name['en'])} }}",
    }
    lines = [
        *(f"# {each}" for each in _header(like, name)),
        "# Every key is explained once, here. Nothing may be left out and nothing added.",
        "",
    ]
    for line in _from_the_first_key(before.splitlines()):
        if line in known:
            continue
        if _HEADER.fullmatch(line):
            lines += explained.pop(line, [])
        key = line.partition(" = ")[0]
        lines.append(f"{key} = {own.pop(key)}" if key in own else line)
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"
    renamed = {"id": region_id, "version": "1", "name": dict(name)}
    if tomllib.loads(text) != tomllib.loads(before) | renamed:
        raise ValueError(f"{path.name}: id, version, name")
    return text


def _header(like: RegionProfile, name: Mapping[str, str]) -> Iterator[str]:
    for language, called in (
        (screen.CHINESE, name["zh"]),
        (screen.ENGLISH, name["en"]),
    ):
        spoken = "".join(each if each.isprintable() else " " for each in called)
        yield say("lines", "header", language, name=spoken, like=like.label)


def _from_the_first_key(lines: list[str]) -> list[str]:
    """Without the file's own introduction."""
    said = takewhile(lambda line: line.startswith("#") or not line.strip(), lines)
    return lines[len(list(said)) :]


def _comments(text: str) -> dict[str, list[str]]:
    """What stands before each header, where it comes first."""
    found: dict[str, list[str]] = {}
    before: list[str] = []
    for line in text.splitlines():
        if line.startswith("#") or not line.strip():
            before.append(line)
            continue
        if _HEADER.fullmatch(line):
            found.setdefault(line, before)
        before = []
    return found


def _placed(comments: Mapping[str, list[str]], text: str) -> dict[str, list[str]]:
    """The same for the headers of another text: what it has not, its section has."""
    headers = [line for line in text.splitlines() if _HEADER.fullmatch(line)]
    found: dict[str, list[str]] = {}
    for header, said in comments.items():
        section = [each for each in headers if _section(each) == _section(header)]
        place = header if header in headers else next(iter(section or headers), "")
        found[place] = [*found.get(place, []), *said]
    return found


def _section(header: str) -> str:
    return header.strip("[]").partition(".")[0]


def _quoted(text: str) -> str:
    """A basic string of TOML."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


# check


class Warned(Struct, frozen=True):
    """Something worth knowing of a profile that has no mistake; `parts` fill its sentence."""

    key: str
    parts: Mapping[str, str]


def check(region: str, *, as_json: bool) -> int:
    """Whether it can be used, and what is worth knowing. Raises CannotError."""
    profile = loaded(region)
    found = list(warnings(profile))
    if as_json:
        screen.json_line(
            {
                "id": profile.id,
                "version": profile.version,
                "name": dict(profile.name),
                "warnings": [
                    {
                        "key": each.key,
                        "messages": texts("warnings", each.key, **each.parts),
                    }
                    for each in found
                ],
            }
        )
        return 0
    name = {
        language: say("lines", "valid", language, label=profile.label, name=called)
        for language, called in profile.name.items()
    }
    screen.line(f"✓ {screen.said(name)}")
    for each in found:
        screen.line(f"  ! {screen.said(texts('warnings', each.key, **each.parts))}")
    return 0


def warnings(profile: RegionProfile) -> Iterator[Warned]:
    """In the order of the file."""
    for about in (_scenarios_worth, _cards_worth, _pins_worth, _centre_worth):
        yield from about(profile)


def _scenarios_worth(profile: RegionProfile) -> Iterator[Warned]:
    for kind, possible in _POSSIBLE.items():
        for scenario in possible:
            parts = {"kind": kind.value, "scenario": scenario.value}
            rules = profile.rules(kind, scenario)
            if rules is None:
                yield Warned("scenario_missing", parts)
                continue
            way = flow.way(profile, rules, scenario)
            if not way.succeeds:
                *_, before, _ = way.keys
                yield Warned("never_succeeds", {**parts, "key": before})


def _cards_worth(profile: RegionProfile) -> Iterator[Warned]:
    if profile.match is MatchBy.NUMBER and _wants(profile, Role.MEDICAL):
        kinds = (("memory", profile.cards.memory), ("stripe", profile.cards.stripe))
        for key, layouts in kinds:
            if any(each.social_security_number is None for each in layouts):
                yield Warned("without_number", {"key": key})
    if not profile.cards.authentication.means:
        yield Warned("no_authentication", {})


def _pins_worth(profile: RegionProfile) -> Iterator[Warned]:
    """A PIN that no keypad can take, although it can do everything."""
    policy = profile.pin
    for role in Role:
        if not pins.due(policy, role) or not _wants(profile, role):
            continue
        if not pins.wanted(role, Talk(), policy, _KEYPAD).on_reader:
            yield Warned(f"typed_at_the_till_{role}", {})


def _centre_worth(profile: RegionProfile) -> Iterator[Warned]:
    centre = profile.centre
    sends = any(
        each.rules.activation_by is ActivationBy.CENTRE for each in profile.chosen()
    )
    if not centre.offers.card_status:
        yield Warned("windows_not_judged", {})
    if (urlsplit(centre.address).hostname or "").endswith(".example"):
        yield Warned("example_address", {"address": centre.address})
    if sends and centre.abilities.dedupe is Dedupe.NONE:
        yield Warned("class_d", {})
    if sends and not centre.refusals:
        yield Warned("no_refusals", {})


def _wants(profile: RegionProfile, role: Role) -> bool:
    return any(role in each.rules.steps for each in profile.chosen())
