"""The commands over serial lines: what people type, and what their programs get."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from drivers.serial_line.line import SerialLine
from plugin.data_folder import DataFolder
from simulator.card.stripe import StripeCard
from simulator.ccid_peer import Misbehaviour
from simulator.people import STRIPE_NUMBER, card, engine
from simulator.scenario import Card, MuteCard, ScriptedCard
from simulator.serial_peer import READER_NAMES, SerialDesk
from simulator.vpcd import VpcdDesk
from tests.agents import Pos
from tests.centre import CentreProcess
from tests.command.test_commands import settings_file
from tests.command.test_read import insert, kaqi, problem_of, read_json
from tests.waiting import wait_until

CHIPS = READER_NAMES[0]
SIMULATE = (sys.executable, "-m", "plugin", "simulate", "--readers")
ENVIRONMENT = {**os.environ, "PYTHONUTF8": "1", "KAQI_LANG": "zh"}


@pytest.fixture
def desk() -> Iterator[SerialDesk]:
    made = SerialDesk()
    yield made
    made.close()


def chips(desk: SerialDesk) -> str:
    return f"ccid:{desk.ports[0].port}"


@contextmanager
def begun(*command: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A command that runs beside the test; it is ended with it."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**ENVIRONMENT, **environment},
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def reading(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "plugin", "read", "--json", *arguments)


@pytest.mark.parametrize(
    "name", ["lin.social_security", "he.social_security", "lin.medical"]
)
def test_a_card_says_the_same_over_a_serial_line(
    desk: SerialDesk, vpcd: VpcdDesk, name: str
) -> None:
    desk.insert(name, CHIPS)
    insert(vpcd, engine(name))

    over_the_line = read_json("--reveal", "--serial", chips(desk))
    over_pcsc = read_json("--reveal", "--reader", "00 00")

    assert over_the_line.pop("reader") == "Serial reader tty0"
    over_pcsc.pop("reader")
    assert over_the_line == over_pcsc


def test_the_basic_information_is_the_same_too(desk: SerialDesk) -> None:
    desk.insert("lin.social_security", CHIPS)

    done = subprocess.run(
        [*reading("--basic-info", "--reveal", "--serial", chips(desk))],
        capture_output=True,
        check=True,
        timeout=60,
    )

    assert done.stdout.decode("gbk").startswith("999901|999901190102021017|T20000017|")


@pytest.mark.parametrize(
    ("inserted", "code", "exit_code"),
    [
        pytest.param(None, "card.absent", 11, id="no card"),
        pytest.param(MuteCard(), "card.mute", 12, id="mute"),
        pytest.param(card("zhu.medical"), "card.mute", 12, id="memory"),
        pytest.param(card("song.medical"), "card.mute", 12, id="stripe"),
        pytest.param(
            ScriptedCard(engine("lin.medical"), pull_at=4),
            "card.removed",
            11,
            id="pulled",
        ),
    ],
)
def test_a_card_that_cannot_be_read_has_its_exit_code(
    desk: SerialDesk, inserted: Card | None, code: str, exit_code: int
) -> None:
    if inserted is not None:
        desk.insert_card(inserted, CHIPS)

    done = kaqi("read", "--json", "--serial", chips(desk))

    assert problem_of(done)["code"] == code
    assert done.returncode == exit_code


@pytest.mark.parametrize("kind", ["ccid", "tracks"])
def test_a_port_that_is_not_there_is_10(tmp_path: Path, kind: str) -> None:
    done = kaqi("read", "--json", "--serial", f"{kind}:{tmp_path / 'ttyUSB9'}")

    problem = problem_of(done)
    assert (done.returncode, problem["code"]) == (10, "reader.port_gone")
    assert any("ttyUSB0" in each for each in problem["remedy"]["zh-CN"])


def test_a_port_that_another_program_has_is_10(desk: SerialDesk) -> None:
    held = SerialLine(desk.ports[0].port, *desk.ports[0].speed)

    done = kaqi("read", "--json", "--serial", chips(desk))
    held.close()

    assert (done.returncode, problem_of(done)["code"]) == (10, "reader.port_busy")


def test_a_port_without_a_reader_is_10(desk: SerialDesk) -> None:
    desk.peers[CHIPS].wrong = Misbehaviour(silent=True)

    done = kaqi("read", "--json", "--serial", chips(desk))

    assert (done.returncode, problem_of(done)["code"]) == (10, "reader.not_answering")


def test_a_card_is_waited_for(desk: SerialDesk) -> None:
    with begun(*reading("--serial", chips(desk), "--wait", "30")) as process:
        wait_until(lambda: desk.peers[CHIPS].frames >= 2)
        desk.insert("lin.social_security", CHIPS)
        said, complaint = process.communicate(timeout=30)

    assert process.returncode == 0, complaint
    assert json.loads(said)["name"] == "林**"


def test_a_reader_that_is_plugged_in_late_is_waited_for(desk: SerialDesk) -> None:
    desk.unplug(CHIPS)
    with begun(*reading("--serial", chips(desk), "--wait", "30")) as process:
        threading.Event().wait(1.0)
        desk.plug(CHIPS)
        desk.insert("lin.social_security", CHIPS)
        _, complaint = process.communicate(timeout=30)

    assert process.returncode == 0, complaint


def swiped(desk: SerialDesk, sent: bytes) -> subprocess.CompletedProcess[str]:
    """`kaqi read` at the track reader; somebody swipes again and again until it ends."""
    command = reading("--reveal", "--serial", f"tracks:{desk.ports[2].port}")
    with begun(*command, "--wait", "20") as process:
        while process.poll() is None:
            desk.tracks.swipe(sent, seconds_between=0.4)
        said, complaint = process.communicate()
    return subprocess.CompletedProcess(command, process.returncode, said, complaint)


def test_a_stripe_is_swiped_while_it_is_waited_for(desk: SerialDesk) -> None:
    stripe = card("song.medical")
    assert isinstance(stripe, StripeCard)

    done = swiped(desk, stripe.sent)

    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert (shown["kind"], shown["card_number"]) == ("medical", STRIPE_NUMBER)
    assert shown["reader"] == "Track reader tty2"


def test_a_swipe_that_failed_is_13(desk: SerialDesk) -> None:
    done = swiped(desk, b";E?\r")

    assert done.returncode == 13
    assert problem_of(done)["code"] == "card.swipe_failed"


@pytest.mark.parametrize(
    "said", ["COM3", "usb:COM3", "ccid:", ":COM3", "CCID:COM3", ""]
)
def test_a_port_said_wrongly_is_2_and_says_how(said: str) -> None:
    done = kaqi("read", "--json", "--serial", said)

    assert (done.returncode, problem_of(done)["code"]) == (2, "command.usage")
    assert "ccid:PORT" in problem_of(done)["title"]


def test_cards_are_moved_in_serial_readers_that_other_programs_see() -> None:
    with begun(*SIMULATE, "serial") as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def typed(line: str, *, until: str) -> str:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(line + "\n")
            process.stdin.flush()
            return next(said for said in process.stdout if until in said)

        shown = [process.stdout.readline().split() for _ in range(3)]
        ports = [words[-1] for words in shown]
        typed("in lin.social_security 2", until="->")
        seen = read_json("--serial", ports[1])
        refused = typed("in lin.medical 3", until="!")
        typed("out 2", until="->")
        gone = kaqi("read", "--json", "--serial", ports[1])
        process.communicate("quit\n", timeout=20)

    assert [words[:3] for words in shown] == [["kaqi", "read", "--serial"]] * 3
    assert [each.partition(":")[0] for each in ports] == ["ccid", "ccid", "tracks"]
    assert seen["name"] == "林**"
    assert "no magnetic stripe" in refused
    assert problem_of(gone)["code"] == "card.absent"
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("readers", "first"),
    [("twin", "export PCSCLITE_CSOCK_NAME="), ("inprocess", "curl ")],
)
def test_cards_are_moved_in_readers_of_every_kind(readers: str, first: str) -> None:
    with begun(*SIMULATE, readers) as process:
        said, complaint = process.communicate(
            "in lin.social_security 1\nin lin.medical 1\nout 1\nquit\n", timeout=60
        )

    assert process.returncode == 0, complaint
    assert said.startswith(first)
    assert "  lin.social_security -> 1" in said
    assert "! " in said
    assert "  1 -> -" in said


def findings(tmp_path: Path, *ports: str) -> dict[str, dict[str, Any]]:
    more = "".join(f'[[serial]]\nkind = "ccid"\nport = "{each}"\n' for each in ports)
    file = settings_file(tmp_path, "http://127.0.0.1:1", more)
    data = str(tmp_path / "data")
    done = kaqi(
        *("doctor", "--json", "--settings", file, "--data", data, "--port", "1"),
        PCSCLITE_CSOCK_NAME=str(tmp_path / "nobody"),
    )
    return {each["name"]: each for each in json.loads(done.stdout)}


def test_the_doctor_sees_readers_on_serial_ports(
    desk: SerialDesk, tmp_path: Path
) -> None:
    found = findings(tmp_path, desk.ports[0].port, desk.ports[1].port)

    assert found["serial_ports"]["ok"]
    assert found["reader"]["detail"] == "Serial reader tty0, Serial reader tty1"
    assert not found["smart_card_service"]["required"]


def test_the_doctor_names_a_port_that_is_not_there(
    desk: SerialDesk, tmp_path: Path
) -> None:
    alone = findings(tmp_path, str(tmp_path / "ttyUSB9"))
    beside = findings(tmp_path, str(tmp_path / "ttyUSB9"), desk.ports[0].port)

    assert alone["serial_ports"]["problem"]["code"] == "reader.port_gone"
    assert alone["serial_ports"]["required"]
    assert alone["reader"]["problem"]["code"] == "reader.none"
    assert beside["serial_ports"]["problem"]["code"] == "reader.port_gone"
    assert not beside["serial_ports"]["required"]
    assert beside["reader"]["ok"]


def test_a_till_with_a_serial_reader_refuses_a_card_of_the_cast(
    desk: SerialDesk, tmp_path: Path, centre: CentreProcess
) -> None:
    more = f'[[serial]]\nkind = "ccid"\nport = "{desk.ports[0].port}"\n'
    file = settings_file(tmp_path, centre.address, more)
    serve = (sys.executable, "-m", "plugin", "serve", "--settings", file, "--port", "0")
    nobody = {"PCSCLITE_CSOCK_NAME": str(tmp_path / "nobody")}

    with begun(*serve, "--data", str(tmp_path / "data"), **nobody) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(":")[2])
        pos = Pos(port, DataFolder(tmp_path / "data").pair("pos", ("read", "activate")))
        started = pos.kaqi.start("pharmacy")
        desk.insert("lin.social_security", CHIPS)
        refused = pos.until(started, lambda now: now.problem is not None)
        desk.remove(CHIPS)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)

    assert refused.problem is not None
    assert refused.problem["code"] == "card.test_card"
    assert process.returncode == 0
    assert centre.effects == []
