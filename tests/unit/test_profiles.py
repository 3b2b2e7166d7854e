"""Region profiles, whatever is written in them: valid, or refused with the file, the key, the
reason and what to do."""

from __future__ import annotations

import copy
import os
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from plugin import data_file, main
from plugin.activation.problem import Problem
from plugin.activation.region import RegionProfile
from plugin.data_file import DataFileError
from plugin.profile_file import REGIONS, frozen, load_profile
from plugin.profile_shapes import ProfileFile
from tests.unit.test_texts import CHINESE

TEXTS = {each.stem: each.read_text("utf-8") for each in sorted(REGIONS.glob("*.toml"))}
PROFILES: dict[str, dict[str, Any]] = {
    name: tomllib.loads(text) for name, text in TEXTS.items()
}
SECRET = "s3cret-4711"  # what must never be repeated
CATALOGUE = main.catalogue()
MISSING: Any = object()
QUICK = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)

Content = dict[str, Any]


def changed(name: str, changes: Mapping[str, object]) -> Content:
    """A shipped profile with these keys set, or taken away."""
    content = copy.deepcopy(PROFILES[name])
    for path, value in changes.items():
        *parents, last = path.split("/")
        place: Any = content
        for each in parents:
            place = place[int(each) if isinstance(place, list) else each]
        if value is MISSING:
            del place[last]
        else:
            place[last] = value
    return content


def refused(content: Content) -> DataFileError:
    """Why it is refused."""
    with pytest.raises(DataFileError) as wrong:
        frozen(data_file.check("city.toml", content, ProfileFile))
    return wrong.value


def is_well_said(mistake: DataFileError, file: str) -> None:
    """File, key where there is one, and reason and remedy in both languages, each of them on
    one line."""
    facts = mistake.facts
    body = CATALOGUE.body(Problem("profile.invalid", facts))

    assert set(facts) - {"key"} == {
        *("file", "reason", "reason_zh", "remedy_zh", "remedy_en")
    }
    assert facts["file"] == file
    assert all(facts.values())
    assert all(value.isprintable() for value in facts.values())
    assert CHINESE.search(facts["reason_zh"]), facts["reason"]
    assert len(facts.get("key", "")) < 200
    assert body["remedy"] == {
        "zh-CN": [facts["remedy_zh"]],
        "en": [facts["remedy_en"]],
    }


# --- what can be written and makes no sense ----------------------------------------------------

PHARMACY = "scenarios/pharmacy/pharmacy"
VISIT = "scenarios/hospital/outpatient_registration"
REFERENCE, XML = "reference", "v3-old-pin"
ENVELOPE = PROFILES[XML]["centre"]["enable2132"]
NO_CARDS: Content = {"match": "number", "cpu": [], "memory": [], "stripe": []}
MEMORY = PROFILES[REFERENCE]["medical_cards"]["memory"][0]
WORDS = {"zh": "某处", "en": "somewhere"}
LOST = {"means": "card.lost", "code": "1"}
ANY_LOSS = {"means": "card.lost", "contains": "挂失"}
EXPIRED = {"means": "card.expired", "code": "2"}
IMPOSSIBLE: list[tuple[str, Mapping[str, object], str, str]] = [
    # scenarios
    (
        REFERENCE,
        {f"{PHARMACY}/steps": ["medical"]},
        "scenarios.pharmacy.pharmacy.steps",
        "without the social security card",
    ),
    (
        REFERENCE,
        {f"{PHARMACY}/steps": ["medical", "medical", "social_security"]},
        "scenarios.pharmacy.pharmacy.steps",
        "the same card twice",
    ),
    (
        REFERENCE,
        {f"{PHARMACY}/activation_by": "registration"},
        "scenarios.pharmacy.pharmacy.activation_by",
        "with an old card",
    ),
    (
        REFERENCE,
        {"scenarios/pharmacy/outpatient_registration": {}},
        "scenarios.pharmacy.outpatient_registration",
        "unknown key",
    ),
    # what makes a card active
    (
        REFERENCE,
        {f"{VISIT}/activation_by": "pin_change"},
        "scenarios.hospital.outpatient_registration.activation_by",
        "pin.new is not change_initial",
    ),
    (
        REFERENCE,
        {f"{VISIT}/activation_by": "pin_change", "pin/new": "set"},
        "scenarios.hospital.outpatient_registration.activation_by",
        "pin.new is not change_initial",
    ),
    (
        "v5-initial-pin",
        {f"{VISIT}/activation_by": "centre"},
        "scenarios.hospital.outpatient_registration.activation_by",
        "elsewhere the change of the PIN activates",
    ),
    (
        REFERENCE,
        {
            f"{VISIT}/activation_by": "pin_change",
            "pin/new": "change_initial",
            "pin/old": "if_set",
            "pin/new_when": "old_had_one",
        },
        "scenarios.hospital.outpatient_registration.activation_by",
        "for some only",
    ),
    (
        XML,
        {f"{VISIT}/activation_by": "registration"},
        "scenarios.hospital.outpatient_registration.activation_by",
        "enable2132 cannot say whether it has become active",
    ),
    # old cards
    (REFERENCE, {"medical_cards": NO_CARDS}, "medical_cards.cpu", "no kind is known"),
    (
        REFERENCE,
        {"medical_cards/memory": [MEMORY, MEMORY]},
        "medical_cards.memory",
        "the same chip twice",
    ),
    *(
        (
            REFERENCE,
            {f"medical_cards/memory/1/{field}/offset": 1023},
            f"medical_cards.memory[1].{field}",
            "has 1024 bytes",
        )
        for field in ("number", "social_security_number", "name")
    ),
    (
        REFERENCE,
        {"medical_cards/stripe/0/number/offset": 37},
        "medical_cards.stripe[0].number.length",
        "track 2 has 37 characters",
    ),
    # the new card
    (
        REFERENCE,
        {"social_security_card/authenticate": ["psam", "psam"]},
        "social_security_card.authenticate",
        "the same means twice",
    ),
    (
        REFERENCE,
        {"social_security_card/psam": MISSING},
        "social_security_card.authenticate",
        "there is no psam",
    ),
    # PINs
    (
        REFERENCE,
        {"pin/digits": {"min": 7, "max": 6}},
        "pin.digits.max",
        "smaller than min",
    ),
    (REFERENCE, {"pin/initial": ["12345"]}, "pin.initial", "fewer or more digits"),
    (REFERENCE, {"pin/initial": ["1234567"]}, "pin.initial", "fewer or more digits"),
    (
        REFERENCE,
        {"pin/initial": [], "pin/new": "change_initial"},
        "pin.initial",
        "name one",
    ),
    (
        REFERENCE,
        {"pin/new_when": "old_had_one"},
        "pin.new_when",
        "never asked whether it has a PIN",
    ),
    # what the centre cannot be asked
    *(
        (XML, {f"windows/{window}/effect": "block"}, f"windows.{window}.effect", "nor")
        for window in ("activation", "financial")
    ),
    (XML, {"holders/minimum_age": 1}, "holders.minimum_age", "how a card stands"),
    (
        XML,
        {"holders/first_replacement_only": True},
        "holders.first_replacement_only",
        "how a card stands",
    ),
    (XML, {"medical_cards/match": "centre"}, "medical_cards.match", "whose an old"),
    (
        XML,
        {"social_security_card/authenticate": ["psam", "hsm"]},
        "social_security_card.authenticate",
        "HSM",
    ),
    # the centre
    (XML, {"centre/adapter": "reference"}, "centre.enable2132", "only the adapter"),
    (XML, {"centre/enable2132": MISSING}, "centre.enable2132", "only the adapter"),
    (
        REFERENCE,
        {"centre/enable2132": ENVELOPE},
        "centre.enable2132",
        "only the adapter",
    ),
    (XML, {"centre/status": True}, "centre.status", "no such question"),
    (XML, {"centre/dedupe": "id"}, "centre.dedupe", "status is false"),
    (XML, {"centre/dedupe": "card"}, "centre.dedupe", "status is false"),
    (
        REFERENCE,
        {"centre/dedupe": "duplicate_code"},
        "centre.dedupe",
        "nothing tells a duplicate",
    ),
    (
        REFERENCE,
        {"centre/refusals": [{"means": "active"}]},
        "centre.refusals[0].code",
        "it fits nothing",
    ),
    (
        REFERENCE,
        {"centre/refusals": [{"code": "1", "means": "card.mute"}]},
        "centre.refusals[0].means",
        "one of: active, card.activation_window_closed, ",
    ),
    *(
        (REFERENCE, {"centre/address": address}, "centre.address", reason)
        for address, reason in (
            ("", "not an address"),
            ("https://centre.example\n", "not an address"),
            ("https://cen\ttre.example", "not an address"),
            ("https://[::1", "not an address"),
            ("https://centre.example:66666", "not an address"),
            ("https://医保.example", "not an address"),
            ("https://centre_1.example", "a name in ASCII or a number"),
            (f"https://till:{SECRET}@centre.example", "neither user nor query"),
            (f"https://centre.example?key={SECRET}", "neither user nor query"),
            ("https://centre.example?", "neither user nor query"),
            ("https://centre.example/a#", "neither user nor query"),
            ("https://@centre.example", "neither user nor query"),
            ("https://:@centre.example", "neither user nor query"),
            ("https://centre.example/@", "neither user nor query"),
            (f"https://{'a' * 64}.example", "at most 63 characters"),
            ("https://centre..example", "a name in ASCII or a number"),
            ("ftp://centre.example", "begins with https://"),
            ("http://centre.example", "only on this machine"),
        )
    ),
    # the XML dialect
    (
        XML,
        {"centre/enable2132/refused": ["-1", "0"]},
        "centre.enable2132.refused",
        "the same as accepted",
    ),
    *(
        (
            XML,
            {"centre/enable2132/path": path},
            "centre.enable2132.path",
            "neither query nor fragment",
        )
        for path in ("/a?b", "/a#b")
    ),
    *(
        (XML, {f"centre/enable2132/{key}": [value]}, f"centre.enable2132.{key}", reason)
        for key in ("accepted", "refused")
        for value, reason in (("\x1b", "U+001B is not"), ("\u202e1", "U+202E is not"))
    ),
    *(
        (
            XML,
            {f"centre/enable2132/{key}": [value]},
            f"centre.enable2132.{key}[0]",
            "matching",
        )
        for key in ("accepted", "refused")
        for value in ("", " ", "0 ", "0\n", "x" * 21)
    ),
    (XML, {"centre/enable2132/refused": []}, "centre.enable2132.refused", ">= 1"),
    *(
        (
            XML,
            {"centre/enable2132/input": inside},
            "centre.enable2132.input",
            "by identification_code or social_security_number",
        )
        for inside in ({}, {"A": "name", "B": "card_number", "C": "medical_number"})
    ),
    # refusals
    *(
        (REFERENCE, {"centre/refusals": rules}, f"centre.{key}", reason)
        for rules, key, reason in (
            ([LOST, LOST], "refusals[1]", "refusals[0] before it"),
            ([LOST, LOST | {"contains": "卡"}], "refusals[1]", "refusals[0] before it"),
            (
                [ANY_LOSS, EXPIRED, LOST | {"contains": "临时挂失"}],
                "refusals[2]",
                "refusals[0] before it",
            ),
            (
                [EXPIRED, LOST | {"contains": "挂失"}, LOST | {"contains": "已挂失"}],
                "refusals[2]",
                "refusals[1] before it",
            ),
            ([{"means": "card.lost", "code": "1\x1b"}], "refusals[0].code", "U+001B"),
            (
                [{"means": "card.lost", "contains": "\u3000挂失"}],
                "refusals[0].contains",
                "U+3000",
            ),
            (
                [LOST | {"contains": "挂失"}, LOST | {"means": "active"}],
                "refusals[1].contains",
                "only words tell",
            ),
        )
    ),
    (
        XML,
        {"centre/refusals": [{"code": "-1", "means": "active"}]},
        "centre.refusals[0].contains",
        "only words tell",
    ),
    (
        XML,
        {"centre/refusals": [LOST, {"code": "-2", "means": "active"}]},
        "centre.refusals[1].contains",
        "only words tell",
    ),
    (XML, {"centre/enable2132/path": "a"}, "centre.enable2132.path", "matching"),
    (
        XML,
        {"centre/enable2132/input/AAC003": "nmae"},
        "centre.enable2132.input.AAC003",
        "one of: identification_code, ",
    ),
    (
        XML,
        {"centre/enable2132/input/A B": "name"},
        "centre.enable2132.input.A B",
        "matching",
    ),
    # keys that are not fixed
    (
        REFERENCE,
        {"social_security_card/psam/keys/des": {"internal": 1, "external": 2}},
        "social_security_card.psam.keys.des",
        "one of: 3des, ssf33, sm4",
    ),
    (
        REFERENCE,
        {"social_security_card/psam/keys/sm4": {"internal": 1, "external": 256}},
        "social_security_card.psam.keys.sm4.external",
        "<= 255",
    ),
    # words
    (
        REFERENCE,
        {"ways_back": {"card.lsot": ["replace_card"]}},
        "ways_back.card.lsot",
        "one of: card.activation_window_closed, ",
    ),
    (REFERENCE, {"ways_back": {"card.lost": []}}, "ways_back.card.lost", ">= 1"),
    (
        REFERENCE,
        {"ways_back": {"card.expired": ["come_again"], "card.lost": ["pray"]}},
        "ways_back.card.lost",
        "one of: replace_card, ",
    ),
    (
        REFERENCE,
        {"ways_back": {"card.lost": ["replace_card", "replace_card"]}},
        "ways_back.card.lost",
        "twice",
    ),
    (REFERENCE, {"places": {"moon": WORDS}}, "places.moon", "one of: bank, "),
    (
        REFERENCE,
        {"places": {"here": WORDS, "bank": {"zh": "", "en": "a bank"}}},
        "places.bank.zh",
        "length >= 1",
    ),
    (REFERENCE, {"places": {"bank": {"zh": "银行"}}}, "places.bank.en", "missing"),
    (REFERENCE, {"holders/proxies": ["moon"]}, "holders.proxies", "one of: bank, "),
    (REFERENCE, {"holders/proxies": ["bank", "here"]}, "holders.proxies", "sent to"),
    (REFERENCE, {"holders/proxies": ["online"]}, "holders.proxies", "in person"),
    *(
        (REFERENCE, {path: WORDS | {"en": f"a{odd}b"}}, f"{named}.en", "not printable")
        for path, named in (
            ("name", "name"),
            ("places/bank", "places.bank"),
            ("wording/waiting_confirm", "wording.waiting_confirm"),
        )
        for odd in ("\x1b[2J", "\n", "\x85", "\u202e")
    ),
    (REFERENCE, {"name/zh": "江\u202e城"}, "name.zh", "U+202E is not printable"),
    (REFERENCE, {"wording": {"waiting": WORDS}}, "wording.waiting", "one of: "),
    (
        REFERENCE,
        {"wording": {"waiting_pin.medical": {"zh": "密码"}}},
        "wording.waiting_pin.medical.en",
        "missing",
    ),
    # lines that end late
    (REFERENCE, {"id": "city\n"}, "id", "matching"),
    (REFERENCE, {"version": "1\n"}, "version", "matching"),
]


@pytest.mark.parametrize(
    ("name", "changes", "key", "reason"),
    IMPOSSIBLE,
    ids=[f"{key}: {reason}" for _, _, key, reason in IMPOSSIBLE],
)
def test_what_makes_no_sense_is_refused_with_its_key(
    name: str, changes: Mapping[str, object], key: str, reason: str
) -> None:
    mistake = refused(changed(name, changes))

    is_well_said(mistake, "city.toml")
    assert mistake.facts["key"] == key
    assert reason in mistake.facts["reason"]
    assert SECRET not in str(mistake)


@pytest.mark.parametrize("name", TEXTS)
def test_every_shipped_profile_is_valid(name: str) -> None:
    assert load_profile(name).id == name


@pytest.mark.parametrize(
    "rules",
    [
        [LOST, EXPIRED, ANY_LOSS],
        [LOST | {"contains": "临时挂失"}, LOST | {"contains": "挂失"}, LOST],
        [LOST, {"means": "active", "code": "9"}],
        [LOST | {"contains": "已启用", "means": "active"}, LOST],
    ],
)
def test_refusals_of_which_each_can_be_the_first(rules: list[Content]) -> None:
    content = changed(REFERENCE, {"centre/refusals": rules})

    found = frozen(data_file.check("city.toml", content, ProfileFile))

    assert [each.means for each in found.centre.refusals] == [
        each["means"] for each in rules
    ]


def test_proxies_go_wherever_something_need_not_be_done_in_person() -> None:
    places = sorted(
        tomllib.loads((REGIONS.parent / "ways.toml").read_text("utf-8"))["places"]
    )
    possible = [each for each in places if each not in ("here", "online")]
    content = changed(REFERENCE, {"holders/proxies": possible})

    found = frozen(data_file.check("city.toml", content, ProfileFile))

    assert sorted(found.holders.proxies) == possible


def test_a_region_may_have_an_hsm_and_no_psam() -> None:
    new = {"social_security_card/psam": MISSING}
    new |= {"social_security_card/authenticate": ["hsm"]}

    content = data_file.check("city.toml", changed(REFERENCE, new), ProfileFile)

    assert frozen(content).cards.authentication.psam is None


@pytest.mark.parametrize(
    "key",
    [
        "a - at `$.pin",
        "a - at `$.pin`",
        "`",
        "` - at `$",
        "a` - at `$.pin[3]",
        "a` - at `$.wording[...]",
        "a.b",
        "[0]",
        "[...]",
        "k" * 5000,
        "\x1b[31m",
        "行\n行",
    ],
)
@pytest.mark.parametrize("table", ["", "pin", "wording", "centre"])
def test_a_key_is_named_whatever_it_looks_like(table: str, key: str) -> None:
    content = copy.deepcopy(PROFILES[REFERENCE])
    (content[table] if table else content)[key] = {"zh": "一", "en": "one"}

    mistake = refused(content)

    is_well_said(mistake, "city.toml")
    named = f"{table}.{key}" if table else key
    if len(key) < 100 and key.isprintable():
        assert mistake.facts["key"] == named
    else:
        assert mistake.facts.get("key", "")[: len(table)] == table


@pytest.mark.parametrize("region", ["", "\0", "x" * 5000, "../regions/reference", "."])
def test_a_region_that_cannot_be_a_file_says_so(region: str) -> None:
    with pytest.raises(DataFileError) as wrong:
        load_profile(region)

    assert wrong.value.facts["reason"]
    assert CHINESE.search(wrong.value.facts["reason_zh"])
    assert wrong.value.facts["remedy_zh"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("days = 180", "a number is too long"),
        ("card = 120", "a number is too long"),
    ],
)
def test_a_number_nobody_could_mean_is_no_trouble_with_the_path(
    tmp_path: Path, line: str, reason: str
) -> None:
    file = tmp_path / "city.toml"
    file.write_text(TEXTS[REFERENCE].replace(line, line + "0" * 5000), "utf-8")

    with pytest.raises(DataFileError) as wrong:
        load_profile(str(file))

    is_well_said(wrong.value, "city.toml")
    assert wrong.value.facts["reason"] == reason


# --- whatever is written ------------------------------------------------------------------------

hostile_text = st.sampled_from(
    ["", " ", SECRET, "\0", "\x1b[2J", "{name}", "%s", "../" * 9, "一" * 999, "\u202e"]
)
numbers = st.sampled_from([-1, 0, 1, 2**31, 2**63, 2**64, 10**400, 0.5, float("nan")])
scalars = st.none() | st.booleans() | numbers | hostile_text | st.text(max_size=8)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | hostile_text, inner, max_size=3)
    ),
    max_leaves=5,
)


def places(content: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401 - any part of a file
    """Every value of a file, as what holds it and under which key."""
    if isinstance(content, dict):
        inside = list(content.items())
    elif isinstance(content, list):
        inside = list(enumerate(content))
    else:
        return
    for key, value in inside:
        yield content, key
        yield from places(value)


@st.composite
def mutated(draw: st.DrawFn) -> Content:
    """A shipped profile after a few mishaps."""
    content = copy.deepcopy(PROFILES[draw(st.sampled_from(sorted(PROFILES)))])
    for _ in range(draw(st.integers(1, 4))):
        known = list(places(content))
        if not known:
            break
        holder, key = draw(st.sampled_from(known))
        value = holder[key]
        other, other_key = draw(st.sampled_from(known))
        match draw(st.integers(0, 7)):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[draw(hostile_text | st.text(max_size=9))] = holder.pop(key)
            case 2:
                holder[key] = draw(anything)
            case 3:
                holder[key] = {str(key): value}
            case 4:
                holder[key] = [value, copy.deepcopy(value)]
            case 5:
                holder[key] = [value] * draw(st.integers(0, 3))
            case 6:
                holder[key] = copy.deepcopy(other[other_key])
            case _:
                holder[key] = draw(scalars)
    known = list(places(content))
    if known and draw(st.integers(0, 9)) == 0:
        holder, key = draw(st.sampled_from(known))
        holder[key] = [holder[key]] * 1000
    return content


@QUICK
@given(mutated())
@example(changed(REFERENCE, {"wording": {str(n): WORDS for n in range(3000)}}))
@example(changed(REFERENCE, {"pin/initial": ["123456"] * 3000}))
@example({})
def test_any_content_is_a_valid_profile_or_a_mistake_with_its_place(
    content: Content,
) -> None:
    keys = {str(key) for holder, key in places(content) if isinstance(holder, dict)}
    mistake: DataFileError | None = None
    try:
        profile = frozen(data_file.check("city.toml", content, ProfileFile))
    except DataFileError as wrong:
        mistake = wrong
    else:
        assert isinstance(profile, RegionProfile)
        assert profile.label

    if mistake is not None:
        is_well_said(mistake, "city.toml")
        assert SECRET not in str(mistake) or SECRET in keys


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """The text of a shipped profile after somebody's elbow was on the keyboard."""
    raw = TEXTS[draw(st.sampled_from(sorted(TEXTS)))].encode()
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(raw)))
        match draw(st.integers(0, 5)):
            case 0:
                raw = raw[:at] + draw(st.binary(min_size=1, max_size=4)) + raw[at:]
            case 1:
                raw = raw[:at] + raw[at + draw(st.integers(1, 40)) :]
            case 2:
                raw = raw[:at]
            case 3:
                lines = raw.split(b"\n")
                which = at % len(lines)
                raw = b"\n".join([*lines[: which + 1], *lines[which:]])
            case 4:
                raw = raw[:at] + SECRET.encode() + raw[at:]
            case _:
                raw = raw.replace(b'"', f'"{SECRET}'.encode(), at % 9)
    return raw


@pytest.fixture(scope="module")
def city() -> Iterator[Path]:
    """A file that is written again and again."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "city.toml"


@QUICK
@given(raw=broken())
@example(raw=b"\xef\xbb\xbfformat = 1")
@example(raw=b"a = 9999-99-99")
@example(raw=b'"\\u0000" = 1')
@example(raw=b"a." * 500 + b"b = 1")
@example(raw=b"a = " + b"{b=" * 900 + b"1" + b"}" * 900)
@example(raw=TEXTS[REFERENCE].replace("\n", "\r").encode())
@example(raw=TEXTS[REFERENCE].encode("utf-16"))
@example(raw=TEXTS[REFERENCE].encode("gb18030"))
def test_any_file_is_a_valid_profile_or_a_mistake_with_its_place(
    city: Path, raw: bytes
) -> None:
    city.write_bytes(raw)
    mistake: DataFileError | None = None
    try:
        profile = load_profile(os.fspath(city))
    except DataFileError as wrong:
        mistake = wrong
    else:
        assert isinstance(profile, RegionProfile)

    if mistake is not None:
        is_well_said(mistake, "city.toml")
        facts = mistake.facts
        names_keys = facts["reason"].startswith("Cannot ")  # declare a key twice
        assert names_keys or SECRET not in facts["reason"]
        assert SECRET not in facts["remedy_zh"] + facts["remedy_en"]
