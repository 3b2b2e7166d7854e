"""`kaqi read`, as a program that other programs call."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drivers.pcsc import PcscDirectory
from drivers.ports import SlotState
from simulator.card.engine import CardEngine
from simulator.card.psam import PsamEngine
from simulator.people import PEOPLE, engine
from simulator.resource_manager import SOCKET_VARIABLE
from simulator.scenario import Card, MuteCard, ScriptedCard
from simulator.vpcd import READER_NAMES, VpcdDesk
from tests.waiting import wait_until

KEYS = [
    "kind",
    "spec_version",
    "social_security_number",
    "name",
    "sex",
    "nation_code",
    "birth_date",
    "birthplace_code",
    "card_number",
    "card_identification_code",
    "region_code",
    "card_class",
    "issuer_code",
    "issue_date",
    "expiry_date",
    "atr",
    "historical_bytes",
    "reader",
    "warnings",
]
READER = READER_NAMES[0]


def kaqi(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    import os

    return subprocess.run(
        [sys.executable, "-m", "plugin", *arguments],
        capture_output=True,
        text=True,
        encoding=environment.get("PYTHONIOENCODING"),
        check=False,
        env={**os.environ, **environment},
        timeout=60,
    )


def insert(vpcd: VpcdDesk, card: Card, slot: SlotState = SlotState.PRESENT) -> None:
    """Put a card in and wait until the resource manager has noticed."""
    vpcd.insert_card(card, READER)
    directory = PcscDirectory()
    wait_until(lambda: directory.look().readers[0].slot is slot)


def read_json(*arguments: str) -> dict[str, Any]:
    """A successful read."""
    done = kaqi("read", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def problem_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The one object on standard error."""
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    found: dict[str, Any] = json.loads(done.stderr)
    return found


def test_a_social_security_card_is_printed_with_exactly_these_keys(
    vpcd: VpcdDesk,
) -> None:
    insert(vpcd, engine("lin.social_security"))

    shown = read_json("--reveal")

    assert list(shown) == KEYS
    assert shown == {
        "kind": "social_security",
        "spec_version": "2.00",
        "social_security_number": "999901190102021017",
        "name": "林试一",
        "sex": "1",
        "nation_code": "01",
        "birth_date": "1901-02-02",
        "birthplace_code": "999901",
        "card_number": "T20000017",
        "card_identification_code": "999901D15600000502000001FFFFFFFF",
        "region_code": "999901",
        "card_class": "1",
        "issuer_code": "99990000000000000000",
        "issue_date": "2026-01-15",
        "expiry_date": "2036-01-14",
        "atr": "3B6D000000814E43238699000002000001",
        "historical_bytes": "00814E43238699000002000001",
        "reader": READER,
        "warnings": [],
    }


def test_personal_fields_are_masked_unless_revealed(vpcd: VpcdDesk) -> None:
    insert(vpcd, engine("lin.social_security"))

    shown = read_json()

    assert shown["social_security_number"] == "999901********1017"
    assert shown["name"] == "林**"
    assert shown["card_number"] == "*****0017"
    assert shown["birth_date"] == "1901-**-**"
    assert shown["card_identification_code"].startswith("999901****")
    assert shown["region_code"] == "999901"


def test_an_old_card_has_nulls_where_it_says_nothing(vpcd: VpcdDesk) -> None:
    insert(vpcd, engine("lin.medical"))

    shown = read_json("--reveal")

    assert list(shown) == KEYS
    assert shown["kind"] == "medical"
    assert shown["social_security_number"] == "999901190102021017"
    assert shown["sex"] is None
    assert shown["birth_date"] is None


@pytest.mark.parametrize(
    ("overrides", "changed", "warning"),
    [
        pytest.param(
            {0x0D: b"\x19\x81\x13\x45"},
            {"birth_date": None},
            "card.warning.birth_date",
            id="impossible birth date",
        ),
        pytest.param(
            {0x09: b"\xff\xfe\x81".ljust(30, b"\0")},
            {"name": None},
            "card.warning.name",
            id="non-GBK bytes in the name",
        ),
        pytest.param(
            {0x08: b"999901190203031021"},
            {"social_security_number": "999901190203031021"},
            "card.warning.social_security_number",
            id="bad check digit",
        ),
    ],
)
def test_an_odd_card_of_version_1_is_still_read_with_a_warning(
    vpcd: VpcdDesk,
    overrides: Mapping[int, bytes | None],
    changed: Mapping[str, object],
    warning: str,
) -> None:
    order = replace(PEOPLE["he"].social_security, overrides=overrides)
    insert(vpcd, CardEngine(order.image()))

    shown = read_json("--reveal")

    assert shown["spec_version"] == "1.00"
    assert shown["warnings"] == [warning]
    assert {key: shown[key] for key in changed} == changed


@pytest.mark.parametrize(
    ("card", "slot", "code", "exit_code"),
    [
        pytest.param(MuteCard(), SlotState.MUTE, "card.mute", 12, id="mute"),
        pytest.param(
            ScriptedCard(engine("lin.medical"), replies={1: b"\x6a\x82"}),
            SlotState.PRESENT,
            "card.unsupported",
            13,
            id="foreign",
        ),
        pytest.param(
            ScriptedCard(engine("lin.medical"), replies={3: b"\x02\x00\x90\x00"}),
            SlotState.PRESENT,
            "card.data_invalid",
            13,
            id="unreadable",
        ),
        pytest.param(
            ScriptedCard(engine("lin.medical"), pull_at=4),
            SlotState.PRESENT,
            "card.removed",
            11,
            id="pulled",
        ),
    ],
)
def test_each_failure_has_its_exit_code_and_its_problem(
    vpcd: VpcdDesk, card: Card, slot: SlotState, code: str, exit_code: int
) -> None:
    insert(vpcd, card, slot)

    done = kaqi("read", "--json")

    assert done.returncode == exit_code
    assert problem_of(done)["code"] == code


def test_no_card_is_11(vpcd: VpcdDesk) -> None:
    done = kaqi("read", "--json")

    assert done.returncode == 11
    assert problem_of(done)["code"] == "card.absent"
    assert vpcd.manager.pid


def test_no_reader_is_10(vpcd: VpcdDesk) -> None:
    done = kaqi("read", "--json", "--reader", "No such reader")

    assert done.returncode == 10
    assert problem_of(done)["code"] == "reader.none"
    assert vpcd.manager.pid


def test_no_service_is_14(tmp_path: Path) -> None:
    done = kaqi("read", "--json", **{SOCKET_VARIABLE: str(tmp_path / "nobody")})

    assert done.returncode == 14
    assert problem_of(done)["code"] == "pcsc.unavailable"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--jsn",),
        ("--json", "--no-such-option"),
        ("--json", "superfluous"),
        ("--reader",),
    ],
)
def test_a_wrong_command_line_is_2(arguments: tuple[str, ...]) -> None:
    done = kaqi("read", *arguments)

    assert done.returncode == 2
    assert problem_of(done)["code"] == "command.usage"


def test_a_region_nobody_knows_is_2() -> None:
    done = kaqi("read", "--json", "--region", "atlantis")

    assert done.returncode == 2
    assert problem_of(done)["code"] == "profile.invalid"


def test_a_person_reads_a_table(vpcd: VpcdDesk) -> None:
    insert(vpcd, engine("lin.social_security"))

    done = kaqi("read", PYTHONUTF8="1")

    assert done.returncode == 0
    assert "林**" in done.stdout
    assert "999901190102021017" not in done.stdout


def test_a_gbk_console_is_no_reason_to_crash(vpcd: VpcdDesk) -> None:
    insert(vpcd, engine("jie.social_security"))

    done = subprocess.run(
        [sys.executable, "-m", "plugin", "read", "--reveal"],
        capture_output=True,
        check=False,
        env={**_environment(), "PYTHONIOENCODING": "gbk"},
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    assert "?试十".encode("gbk") in done.stdout


def _environment() -> dict[str, str]:
    import os

    return dict(os.environ)


def test_the_basic_information_is_one_string_in_gbk(vpcd: VpcdDesk) -> None:
    insert(vpcd, engine("lin.social_security"))
    command = [sys.executable, "-m", "plugin", "read", "--basic-info"]

    masked = subprocess.run(command, capture_output=True, check=True)
    clear = subprocess.run([*command, "--reveal"], capture_output=True, check=True)

    assert clear.stdout.decode("gbk") == (
        "999901|999901190102021017|T20000017|999901D15600000502000001FFFFFFFF|林试一"
        "|00814E43238699000002000001|2.00|20260115|20360114|000000000000||\n"
    )
    assert masked.stdout.decode("gbk").split("|")[4] == "林**"
    assert b"190102021017" not in masked.stdout


def test_an_old_card_has_no_basic_information(vpcd: VpcdDesk) -> None:
    insert(vpcd, engine("lin.medical"))

    done = kaqi("read", "--basic-info")

    assert done.returncode == 13
    assert problem_of(done)["code"] == "card.social_security_wanted"


def test_a_card_of_3_0_is_read_with_the_psam_in_the_other_slot(vpcd: VpcdDesk) -> None:
    insert(vpcd, engine("qin.social_security"))
    vpcd.insert_card(PsamEngine(), READER_NAMES[1])
    directory = PcscDirectory()
    wait_until(lambda: directory.look().readers[1].slot is SlotState.PRESENT)

    with_psam = read_json("--psam", "00 01")
    without = kaqi("read", "--json", "--reader", "00 00")

    assert with_psam["spec_version"] == "3.00"
    assert with_psam["reader"] == READER
    assert without.returncode == 13
    assert problem_of(without)["code"] == "psam.missing"
    assert problem_of(without)["vendor_code"] == -2201
