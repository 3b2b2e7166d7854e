"""Files people write: right, or refused with file, key, reason and remedy."""

from __future__ import annotations

import copy
import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.serial_line.magstripe import Lrc
from drivers.serial_line.settings import PortKind, SerialPort
from plugin import data_file
from plugin.activation.region import (
    NewPin,
    NewPinWhen,
    OldPin,
    PinPolicy,
    Role,
    Scenario,
)
from plugin.card.pin import Digits
from plugin.data_file import DataFileError
from plugin.profile_file import REGIONS, frozen, load_profile
from plugin.profile_shapes import ProfileFile
from plugin.settings import InstitutionKind, Keeping
from plugin.settings_file import SettingsFile, load_settings
from tests.unit.test_texts import CHINESE

REFERENCE: dict[str, Any] = tomllib.loads(
    (REGIONS / "reference.toml").read_text("utf-8")
)
SETTINGS = """
port = 15999
origins = ["https://his.example"]
[institution]
code = "H370001"
name = "测试医院"
kind = "hospital"
[centre]
address = "https://centre.example"
"""


def changed(path: str, value: object) -> dict[str, Any]:
    """The reference profile with one key set, or taken away with `...`."""
    content = copy.deepcopy(REFERENCE)
    *parents, last = path.split(".")
    place = content
    for each in parents:
        place = place[each]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return content


def test_the_reference_profile_is_what_the_guidance_says() -> None:
    profile = load_profile("reference")

    pharmacy = profile.rules(InstitutionKind.PHARMACY, Scenario.PHARMACY)
    hospital = profile.rules(InstitutionKind.HOSPITAL, Scenario.OUTPATIENT_REGISTRATION)
    assert pharmacy is not None
    assert hospital is not None
    assert pharmacy.steps == (Role.MEDICAL, Role.SOCIAL_SECURITY)
    assert pharmacy.confirm
    assert hospital.steps == (Role.SOCIAL_SECURITY,)
    assert not hospital.centre_required
    assert (profile.activation_window.days, profile.financial_window.days) == (180, 300)
    assert profile.label == "reference@1"


def test_a_region_that_changes_initial_pins_must_name_one() -> None:
    content = changed("pin.initial", [])
    content["pin"]["new"] = "change_initial"

    with pytest.raises(DataFileError) as wrong:
        data_file.check("city.toml", content, ProfileFile)

    assert wrong.value.facts["key"] == "pin.initial"
    assert wrong.value.facts["remedy_en"]


def test_what_a_region_says_of_pins_is_kept() -> None:
    said = {
        "old": "if_set",
        "new": "change_initial",
        "new_when": "old_had_one",
        "initial": ["1234", "888888"],
        "digits": {"min": 4, "max": 6},
        "show_tries": False,
        "probe": True,
    }

    policy = frozen(data_file.check("city.toml", changed("pin", said), ProfileFile)).pin

    assert policy == PinPolicy(
        old=OldPin.IF_SET,
        new=NewPin.CHANGE_INITIAL,
        new_when=NewPinWhen.OLD_HAD_ONE,
        initial=frozenset({"1234", "888888"}),
        digits=Digits(minimum=4, maximum=6),
        show_tries=False,
        probe=True,
    )
    assert policy.wanted
    assert not load_profile("reference").pin.wanted


def test_a_pharmacy_registers_nobody() -> None:
    profile = load_profile("reference")

    for scenario in (Scenario.OUTPATIENT_REGISTRATION, Scenario.INPATIENT_REGISTRATION):
        assert profile.rules(InstitutionKind.PHARMACY, scenario) is None


@pytest.mark.parametrize(
    ("path", "value", "key", "reason"),
    [
        ("clocks.crad", 3, "clocks.crad", "unknown key"),
        ("clocks.card", ..., "clocks.card", "missing"),
        ("clocks.card", "120", "clocks.card", "Expected `int`, got `str`"),
        ("clocks.card", 5, "clocks.card", "Expected `int` >= 10"),
        ("format", 2, "format", "one of: 1"),
        ("id", "Ünknown", "id", "matching regex"),
        ("windows.financial.effect", "explode", "windows.financial.effect", "one of: "),
        (
            "scenarios.pharmacy.pharmacy.steps",
            ["medical"],
            "scenarios.pharmacy.pharmacy.steps",
            "social security card",
        ),
        (
            "scenarios.pharmacy.pharmacy.steps",
            ["social_security", "social_security"],
            "scenarios.pharmacy.pharmacy.steps",
            "twice",
        ),
        (
            "scenarios.pharmacy.pharmacy.steps",
            ["golden"],
            "scenarios.pharmacy.pharmacy.steps[0]",
            "one of: medical, social_security",
        ),
        (
            "medical_cards",
            {"match": "number", "cpu": [], "memory": [], "stripe": []},
            "medical_cards.cpu",
            "no kind is known",
        ),
        (
            "medical_cards.memory",
            [
                {
                    "chip": "sle4442",
                    "number": {"offset": 250, "length": 15, "encoding": "ascii"},
                }
            ],
            "medical_cards.memory[0].number",
            "has 256 bytes",
        ),
        *(
            (
                "medical_cards.stripe",
                [{"number": {"track": 2, "offset": 0}}, content],
                f"medical_cards.stripe[1]{key}",
                reason,
            )
            for content, key, reason in (
                ({}, ".number", "missing"),
                ({"number": {"track": 4, "offset": 0}}, ".number.track", "<= 3"),
                ({"number": {"track": 0, "offset": 0}}, ".number.track", ">= 1"),
                ({"number": {"offset": 0}}, ".number.track", "missing"),
                ({"number": {"track": 2}}, ".number.offset", "missing"),
                ({"number": {"track": 2, "offset": -1}}, ".number.offset", ">= 0"),
                (
                    {"number": {"track": 2, "offset": 37}},
                    ".number.offset",
                    "track 2 has 37 characters",
                ),
                (
                    {"number": {"track": 2, "offset": 30, "length": 8}},
                    ".number.length",
                    "track 2 has 37 characters",
                ),
                (
                    {"number": {"track": 1, "offset": 0, "length": 0}},
                    ".number.length",
                    ">= 1",
                ),
                (
                    {"number": {"track": 2, "offset": 0}, "nmae": {}},
                    ".nmae",
                    "unknown key",
                ),
            )
        ),
        (
            "medical_cards.stripe",
            {"number": {"track": 2, "offset": 0}},
            "medical_cards.stripe",
            "got `object`",
        ),
        ("medical_cards.stripe", ..., "medical_cards.stripe", "missing"),
        (
            "social_security_card.psam.factors",
            ["12"],
            "social_security_card.psam.factors[0]",
            "matching",
        ),
        (
            "social_security_card.authenticate",
            ["hsm", "hsm"],
            "social_security_card.authenticate",
            "twice",
        ),
        ("pin.new", "perhaps", "pin.new", "one of: none, keep, set, change_initial"),
        ("pin.old", "sometimes", "pin.old", "one of: never, if_set, always"),
        ("pin.probe", ..., "pin.probe", "missing"),
        ("pin.initial", ["12345a"], "pin.initial[0]", "matching"),
        ("pin.initial", ["1234567"], "pin.initial", "fewer or more digits"),
        ("pin.digits", {"min": 2, "max": 6}, "pin.digits.min", ">= 3"),
        ("pin.digits", {"min": 6, "max": 13}, "pin.digits.max", "<= 12"),
        ("pin.digits", {"min": 8, "max": 6}, "pin.digits.max", "smaller than min"),
        ("clocks.pin", 241, "clocks.pin", "<= 240"),
        ("centre.address", "http://centre.example", "centre.address", "only on this"),
        ("centre.address", "ftp://127.0.0.1", "centre.address", "https"),
        ("centre.address", "https://u:p@centre.example", "centre.address", "user"),
        ("centre.adapter", "carrier pigeon", "centre.adapter", "one of: reference"),
    ],
)
def test_a_wrong_profile_says_where_and_why(
    path: str, value: object, key: str, reason: str
) -> None:
    with pytest.raises(DataFileError) as wrong:
        frozen(data_file.check("city.toml", changed(path, value), ProfileFile))

    assert wrong.value.facts["file"] == "city.toml"
    assert wrong.value.facts["key"] == key
    assert reason in wrong.value.facts["reason"]
    assert wrong.value.facts["remedy_zh"]
    assert wrong.value.facts["remedy_en"]


def test_a_misspelt_key_is_told_its_neighbour() -> None:
    with pytest.raises(DataFileError) as wrong:
        data_file.check("city.toml", changed("clocks.confrim", 3), ProfileFile)

    assert wrong.value.facts["remedy_en"] == "remove it, or write confirm"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"id = ", "Invalid value"),
        (b"\xff\xfe", "not UTF-8"),
        (b"#" * (data_file.MAX_BYTES + 1), "larger than 256 KiB"),
        (b"a = " + b"[" * 5000 + b"]" * 5000, "nested"),
    ],
)
def test_a_file_that_is_no_toml_says_so(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    file = tmp_path / "city.toml"
    file.write_bytes(content)

    with pytest.raises(DataFileError) as wrong:
        load_profile(str(file))

    assert reason in wrong.value.facts["reason"]
    assert CHINESE.search(wrong.value.facts["reason_zh"])


@pytest.mark.parametrize("said", [load_profile, data_file.secret])
@pytest.mark.parametrize("kind", ["a pipe", "a folder", "a device"])
def test_what_is_no_regular_file_is_told_so_at_once(
    tmp_path: Path, kind: str, said: Callable[[Any], object]
) -> None:
    file = Path("/dev/zero") if kind == "a device" else tmp_path / "city.toml"
    if kind == "a folder":
        file.mkdir()
    elif kind == "a pipe":
        os.mkfifo(file)

    with pytest.raises(DataFileError) as wrong:
        said(file if said is data_file.secret else str(file))

    assert wrong.value.facts["reason"] == "not a regular file"
    assert wrong.value.facts["remedy_zh"] == "换一个普通文件"
    assert wrong.value.facts["remedy_en"] == "give a regular file"


def test_a_file_larger_than_it_says_is_not_read_on() -> None:
    endless = Path("/proc/kallsyms")  # of 0 bytes, says the system
    if not endless.exists() or endless.stat().st_size:
        pytest.skip("no such file here")

    with pytest.raises(DataFileError, match="larger than 256 KiB"):
        load_profile(str(endless))


def test_notepads_mark_is_no_mistake(tmp_path: Path) -> None:
    file = tmp_path / "city.toml"
    file.write_bytes((REGIONS / "reference.toml").read_bytes())
    plain = load_profile(str(file))
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())

    assert load_profile(str(file)) == plain


def test_a_secret_is_one_line_of_ascii(tmp_path: Path) -> None:
    file = tmp_path / "credential"

    for content in (b"key", b" key\r\n", b"\xef\xbb\xbfkey\n"):
        file.write_bytes(content)
        assert data_file.secret(file) == "key"
    for content in (b"", b"\n", b"two\nlines", "钥".encode(), b"\xff", b"k\x1bey"):
        file.write_bytes(content)
        with pytest.raises(DataFileError, match=r"not one line of ASCII|not UTF-8"):
            data_file.secret(file)
    file.write_bytes(b"k" * (data_file.MAX_BYTES + 1))
    with pytest.raises(DataFileError, match="larger than 256 KiB"):
        data_file.secret(file)


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataFileError) as wrong:
        load_profile(str(tmp_path / "nowhere.toml"))

    assert wrong.value.facts["file"] == str(tmp_path / "nowhere.toml")
    assert "nor a file" in wrong.value.facts["reason"]
    assert "reference" in wrong.value.facts["remedy_en"]


@given(st.text(max_size=200))
def test_any_text_as_a_file_is_refused(text: str) -> None:
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return

    with pytest.raises(DataFileError):
        data_file.check("city.toml", content, ProfileFile)


def test_settings_are_read_and_frozen(tmp_path: Path) -> None:
    file = tmp_path / "kaqi.toml"
    file.write_text(SETTINGS, encoding="utf-8")

    settings = load_settings(file)

    assert settings.institution.kind is InstitutionKind.HOSPITAL
    assert settings.institution.name == "测试医院"
    assert settings.port == 15999
    assert settings.origins == frozenset({"https://his.example"})
    assert settings.centre_address == "https://centre.example"


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        ('kind = "hospital"', 'kind = "bank"', "institution.kind"),
        ('code = "H370001"', 'code = "H 1"', "institution.code"),
        ("port = 15999", "port = 0", "port"),
        ("port = 15999", "prot = 15999", "prot"),
        ("https://his.example", "https://his.example/", "origins"),
        ("https://his.example", "HTTPS://HIS.example", "origins"),
        ("https://his.example", "null", "origins"),
        ("https://his.example", "*", "origins"),
        ("https://centre.example", "http://centre.example", "centre.address"),
        (
            "[centre]",
            "[retention]\npersonal_days = 0\n[centre]",
            "retention.personal_days",
        ),
        (
            "[centre]",
            "[retention]\npersonal_days = 401\n[centre]",
            "retention.personal_days",
        ),
        (
            "[centre]",
            "[retention]\nrecord_days = 399\n[centre]",
            "retention.record_days",
        ),
        (
            "[centre]",
            "[retention]\nrecord_days = 3651\n[centre]",
            "retention.record_days",
        ),
        ("[centre]", "[retention]\ndays = 30\n[centre]", "retention.days"),
    ],
)
def test_wrong_settings_say_where(
    tmp_path: Path, before: str, after: str, key: str
) -> None:
    file = tmp_path / "kaqi.toml"
    file.write_text(SETTINGS.replace(before, after), encoding="utf-8")

    with pytest.raises(DataFileError) as wrong:
        load_settings(file)

    assert wrong.value.facts["key"] == key


def test_how_long_records_are_kept_is_read_or_as_promised(tmp_path: Path) -> None:
    file = tmp_path / "kaqi.toml"
    kept = "[retention]\npersonal_days = 7\nrecord_days = 1000\n"
    file.write_text(SETTINGS + kept, encoding="utf-8")
    silent = tmp_path / "silent.toml"
    silent.write_text(SETTINGS, encoding="utf-8")

    assert load_settings(file).keeping == Keeping(personal_days=7, record_days=1000)
    assert load_settings(silent).keeping == Keeping(personal_days=30, record_days=400)


INSTITUTION = {"code": "P1", "name": "药店", "kind": "pharmacy"}
CHIPS = {"kind": "ccid", "port": "COM3"}
TRACKS = {"kind": "tracks", "port": "COM4"}


def test_serial_readers_are_read_and_frozen(tmp_path: Path) -> None:
    file = tmp_path / "kaqi.toml"
    file.write_text(
        SETTINGS
        + """
[[serial]]
kind = "ccid"
port = "COM3"
[[serial]]
kind = "ccid"
port = "/dev/ttyS1"
name = "柜台 2"
baud = 9600
stop_bits = 1
keypad = true
[[serial]]
kind = "tracks"
port = "/dev/ttyUSB0"
lrc = "always"
""",
        encoding="utf-8",
    )

    first, second, third = load_settings(file).serial

    assert first == SerialPort(kind=PortKind.CCID, port="COM3")
    assert (first.shown_name, first.speed) == ("Serial reader COM3", (115_200, 2))
    assert second == SerialPort(
        kind=PortKind.CCID,
        port="/dev/ttyS1",
        name="柜台 2",
        baud=9600,
        stop_bits=1,
        keypad=True,
    )
    assert (second.shown_name, second.speed) == ("柜台 2", (9_600, 1))
    assert third == SerialPort(
        kind=PortKind.TRACKS, port="/dev/ttyUSB0", lrc=Lrc.ALWAYS
    )
    assert (third.shown_name, third.speed) == ("Track reader ttyUSB0", (9_600, 1))


@pytest.mark.parametrize(
    ("serial", "key", "reason", "remedy"),
    [
        ([{"kind": "ccid"}], "[0].port", "missing", "add it"),
        ([{"port": "COM3"}], "[0].kind", "missing", "add it"),
        ([CHIPS | {"kind": "cicd"}], "[0].kind", "one of: ccid, tracks", ""),
        ([{"kind": "ccid", "prot": "COM3"}], "[0].prot", "unknown", "or write port"),
        ([CHIPS | {"buad": 9600}], "[0].buad", "unknown", "or write baud"),
        ([CHIPS | {"port": ""}], "[0].port", "length >= 1", ""),
        ([CHIPS | {"port": 3}], "[0].port", "Expected `str`", ""),
        ([CHIPS | {"baud": 1200}], "[0].baud", "one of: 2400, ", ""),
        ([CHIPS | {"baud": "9600"}], "[0].baud", "Expected `int | null`", ""),
        ([CHIPS | {"stop_bits": 3}], "[0].stop_bits", "one of: 1, 2", ""),
        ([CHIPS | {"keypad": "yes"}], "[0].keypad", "Expected `bool`", ""),
        ([TRACKS | {"keypad": True}], "[0].keypad", "has no keypad", ""),
        ([TRACKS | {"lrc": "yes"}], "[0].lrc", "one of: optional, always, never", ""),
        ([CHIPS | {"lrc": "never"}], "[0].lrc", "only track readers", ""),
        ([CHIPS | {"name": "a\nb"}], "[0].name", "matching", ""),
        ([CHIPS, TRACKS | {"port": "COM3"}], "[1].port", "the same port twice", ""),
        (
            [CHIPS | {"name": "A"}, TRACKS | {"name": "A"}],
            "[1].name",
            "the same name twice",
            "",
        ),
        (
            [CHIPS | {"name": "Track reader COM4"}, TRACKS],
            "[1].name",
            "the same name twice",
            "",
        ),
        (
            [CHIPS | {"port": "/dev/a/tty"}, CHIPS | {"port": "/dev/b/tty"}],
            "[1].name",
            "the same name twice",
            "",
        ),
        (CHIPS, "", "Expected `array`", "write [[serial]]"),
    ],
)
def test_a_wrong_serial_reader_says_where_and_why_and_what_to_do(
    serial: object, key: str, reason: str, remedy: str
) -> None:
    content = {"institution": INSTITUTION, "serial": serial}

    with pytest.raises(DataFileError) as wrong:
        data_file.check("kaqi.toml", content, SettingsFile)

    assert wrong.value.facts["file"] == "kaqi.toml"
    assert wrong.value.facts["key"] == f"serial{key}"
    assert reason in wrong.value.facts["reason"]
    assert remedy in wrong.value.facts["remedy_en"]
    assert wrong.value.facts["remedy_zh"]
    assert CHINESE.search(wrong.value.facts["reason_zh"])
