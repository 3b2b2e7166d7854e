"""The other commands, and every way in which they cannot start."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from plugin.data_folder import DataFolder, DataFolderError
from simulator.vpcd import VpcdDesk
from tests.agents import AgentProcess
from tests.centre import CentreProcess
from tests.command.test_read import kaqi, problem_of
from tests.regions import settings_for
from tests.scenario.test_restarts import insert, reader_id
from tests.waiting import wait_until

NOBODY = 65_534
SETTINGS = """
[institution]
code = "P9999"
name = "试用药店"
kind = "pharmacy"
[centre]
address = "{centre}"
"""


def settings_file(folder: Path, centre: str, more: str = "") -> str:
    """A right settings file, with something before it."""
    file = folder / "kaqi.toml"
    file.write_text(more + SETTINGS.format(centre=centre), encoding="utf-8")
    return str(file)


def test_help_is_in_both_languages() -> None:
    done = kaqi("--help", PYTHONUTF8="1")

    assert done.returncode == 0
    assert "社会保障卡" in done.stdout
    assert "Run the agent" in done.stdout
    for name in ("serve", "demo", "read", "activate", "simulate", "doctor", "log"):
        assert name in done.stdout
    assert "Region profiles" in done.stdout


def test_without_a_command_the_help_is_shown() -> None:
    done = kaqi()

    assert done.returncode == 2
    assert "Usage" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("content", "key"),
    [
        pytest.param("= wrong", None, id="no TOML"),
        pytest.param("colour = 1\n", "colour", id="unknown key"),
        pytest.param("port = 'x'\n", "port", id="wrong type"),
        pytest.param("port = 99999\n", "port", id="no port"),
    ],
)
def test_wrong_settings_stop_it_and_say_where(
    tmp_path: Path, content: str, key: str | None
) -> None:
    file = settings_file(tmp_path, "https://centre.example", content)

    done = kaqi("serve", "--settings", file, "--data", str(tmp_path / "data"))

    problem = problem_of(done)
    assert done.returncode == 78
    assert problem["code"] == "settings.invalid"
    assert f"is wrong{f' at {key}' if key else ''}: " in problem["title"]
    assert problem["remedy"]["zh-CN"]


def test_missing_settings_stop_it_and_say_where(tmp_path: Path) -> None:
    done = kaqi("serve", "--settings", str(tmp_path / "nowhere.toml"))

    assert done.returncode == 78
    assert problem_of(done)["code"] == "settings.missing"
    assert str(tmp_path / "nowhere.toml") in problem_of(done)["title"]


def test_an_unknown_region_stops_it(tmp_path: Path) -> None:
    file = settings_file(tmp_path, "https://centre.example", 'region = "atlantis"\n')

    done = kaqi("serve", "--settings", file, "--data", str(tmp_path / "data"))

    assert done.returncode == 78
    assert problem_of(done)["code"] == "profile.invalid"


def test_a_folder_that_cannot_be_used_stops_it(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    file = settings_file(tmp_path, "https://centre.example")

    done = kaqi("serve", "--settings", file, "--data", str(blocked / "data"))

    problem = problem_of(done)
    assert done.returncode == 73
    assert problem["code"] == "agent.data_folder"
    assert str(blocked) in problem["title"]


@pytest.mark.skipif(os.geteuid() != 0, reason="asks another user to write, as root")
def test_a_folder_somebody_else_owns_stops_it(tmp_path: Path) -> None:
    from plugin.data_folder import DataFolderError

    theirs = tmp_path / "theirs"
    theirs.mkdir(mode=0o700)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setegid(65534)
            os.seteuid(65534)
            DataFolder(theirs)
        except DataFolderError as refused:
            os.write(writer, str(refused).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader) as said:
        assert "Permission denied" in said.read()


def test_a_taken_port_is_named_with_its_holder(tmp_path: Path) -> None:
    file = settings_file(tmp_path, "https://centre.example")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        done = kaqi(
            *("serve", "--settings", file, "--data", str(tmp_path / "data")),
            *("--port", str(port)),
        )

    problem = problem_of(done)
    assert done.returncode == 69
    assert problem["code"] == "agent.port_in_use"
    assert str(port) in problem["title"]
    assert f"pid {os.getpid()}" in problem["title"]


def another(
    folder: Path, centre: CentreProcess
) -> tuple[subprocess.CompletedProcess[str], float]:
    """An agent in a folder that has one; and how long it takes to leave."""
    began = time.monotonic()
    done = kaqi(
        *("serve", "--simulate", "--data", str(folder), "--port", "0"),
        *("--centre", centre.address),
    )
    return done, time.monotonic() - began


def test_j6_two_agents_cannot_share_a_folder(
    tmp_path: Path, centre: CentreProcess
) -> None:
    with AgentProcess(tmp_path, centre.address) as agent:
        tries = []
        for _ in range(20):  # a busy machine is not what is asked about
            tries.append(another(tmp_path, centre))
            if tries[-1][1] < 1.0:
                break

        assert {done.returncode for done, _ in tries} == {75}
        codes = {problem_of(done)["code"] for done, _ in tries}
        assert codes == {"agent.journal_in_use"}
        assert min(seconds for _, seconds in tries) < 1.0
        assert agent.pos.request("GET", "/healthz").status == 204


def test_a_simulation_never_talks_to_a_real_centre(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"

    done = kaqi("serve", "--simulate", "--data", str(tmp_path), "--centre", address)

    assert done.returncode == 69
    assert problem_of(done)["code"] == "centre.not_simulated"


def test_a_lost_journal_key_is_said_and_nothing_is_overwritten(
    tmp_path: Path, centre: CentreProcess
) -> None:
    with AgentProcess(tmp_path, centre.address):
        pass
    (tmp_path / "journal.key").unlink()

    done = kaqi(
        *("serve", "--simulate", "--data", str(tmp_path), "--port", "0"),
        *("--centre", centre.address),
    )

    assert done.returncode == 73
    assert "journal.key" in problem_of(done)["title"]
    assert not (tmp_path / "journal.key").exists()


def test_without_a_resource_manager_the_agent_serves_and_says_so(
    tmp_path: Path, centre: CentreProcess
) -> None:
    file = settings_file(tmp_path, centre.address)
    command = [
        *(sys.executable, "-m", "plugin", "serve", "--settings", file),
        *("--data", str(tmp_path / "data"), "--port", "0"),
    ]
    environment = {**os.environ, "PCSCLITE_CSOCK_NAME": str(tmp_path / "nobody")}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(":")[2])
        folder = DataFolder(tmp_path / "data")
        token = folder.pair("pos", ("read", "activate"))
        from tests.agents import Pos

        pos, looking = Pos(port, token), Pos(port, folder.pair("looking", ("read",)))
        wait_until(
            lambda: bool(looking.request("GET", "/v1/readers").body.get("problems"))
        )
        readers = pos.request("GET", "/v1/readers").body
        ready = pos.request("GET", "/readyz")
        started = pos.start("pharmacy")
        process.send_signal(signal.SIGTERM)

    assert [each["code"] for each in readers["problems"]] == ["pcsc.unavailable"]
    assert ready.status == 503
    assert started.body["state"] == "waiting_reader"
    assert started.body["step"]["text"]["zh-CN"] == "请连接读卡器"
    assert process.returncode == 0


def findings(
    tmp_path: Path, centre: str, more: str = "", **environment: str
) -> dict[str, dict[str, Any]]:
    file = settings_file(tmp_path, centre, more)
    data = str(tmp_path / "data")
    done = kaqi(
        *("doctor", "--json", "--settings", file, "--data", data, "--port", "1"),
        **environment,
    )
    found = {each["name"]: each for each in json.loads(done.stdout)}
    wrong = [each for each in found.values() if each["required"] and not each["ok"]]
    assert done.returncode == (1 if wrong else 0)
    return found


def test_the_doctor_finds_everything_in_order(
    tmp_path: Path, centre: CentreProcess, vpcd: VpcdDesk
) -> None:
    found = findings(tmp_path, centre.address)

    assert all(each["ok"] for each in found.values())
    assert set(found) == {
        "program",
        "sqlite",
        "sm3",
        "data_folder",
        "disk",
        "smart_card_service",
        "reader",
        "settings",
        "port",
        "centre",
    }
    assert all(name in found["reader"]["detail"] for name in vpcd.readers())


def test_the_doctor_names_what_is_missing_and_what_to_do(tmp_path: Path) -> None:
    environment = {"PCSCLITE_CSOCK_NAME": str(tmp_path / "nobody")}
    requests = DataFolder(tmp_path / "data").pairing_requests
    (requests / "pos.json").write_text("{oops", encoding="utf-8")

    origins = 'origins = ["https://his.nowhere.example"]\n'
    found = findings(tmp_path, "http://127.0.0.1:1", origins, **environment)

    wrong = {name: each["problem"] for name, each in found.items() if not each["ok"]}
    codes = {name: problem["code"] for name, problem in wrong.items()}
    assert codes == {
        "pairing_request": "pairing.bad_file",
        "smart_card_service": "pcsc.unavailable",
        "reader": "reader.none",
        "browser_policy": "browser.policy_missing",
        "centre": "centre.unreachable",
    }
    assert all(problem["remedy"]["zh-CN"] for problem in wrong.values())


def test_the_doctor_tells_people_in_sentences(tmp_path: Path) -> None:
    file = settings_file(tmp_path, "http://127.0.0.1:1")

    done = kaqi(
        *("doctor", "--settings", file, "--data", str(tmp_path / "data")),
        PYTHONUTF8="1",
        KAQI_LANG="zh",
        PCSCLITE_CSOCK_NAME=str(tmp_path / "nobody"),
    )

    assert done.returncode == 1
    assert "✗ 系统的智能卡服务" in done.stdout
    assert "智能卡服务没有运行" in done.stdout
    assert "启动智能卡服务" in done.stdout
    assert "is not running" not in done.stdout


def test_a_paired_client_gets_a_token_once(tmp_path: Path) -> None:
    done = kaqi("pair", "pos-7", "--scope", "read", "--data", str(tmp_path))
    token = done.stdout.strip()

    (file,) = (tmp_path / "clients").iterdir()
    name, _, secret = token.partition("~")
    assert (name, len(secret)) == ("pos-7", 43)
    assert secret not in file.name + file.read_text(encoding="utf-8")
    assert json.loads(file.read_text("utf-8")) == {
        "id": "pos-7",
        "scopes": ["read"],
        "origin": None,
    }
    assert file.stat().st_mode & 0o077 == 0


def test_pairing_many_at_once_loses_nobody(tmp_path: Path) -> None:
    def pair(number: int) -> str:
        return kaqi("pair", f"pos-{number}", "--data", str(tmp_path)).stdout.strip()

    with ThreadPoolExecutor(6) as beside:
        tokens = list(beside.map(pair, range(6)))

    known = [DataFolder(tmp_path).client(token) for token in tokens]
    assert [each and each.id for each in known] == [f"pos-{n}" for n in range(6)]


def test_a_damaged_client_must_pair_again_and_harms_nobody_else(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    damaged, whole = folder.pair("a", ("read",)), folder.pair("b", ("read",))
    for file in (tmp_path / "clients").iterdir():
        if '"a"' in file.read_text(encoding="utf-8"):
            file.write_text("{oops", encoding="utf-8")

    assert folder.client(damaged) is None
    assert folder.client(whole) is not None
    assert kaqi("pair", "c", "--data", str(tmp_path)).returncode == 0


def test_the_operators_token_is_made_anew_when_it_is_void(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    first = folder.operator_token()
    for file in (tmp_path / "clients").iterdir():
        file.unlink()

    second = folder.operator_token()

    assert folder.operator_token() == second != first
    assert folder.client(second) is not None


@pytest.mark.parametrize(
    "arguments",
    [("pos", "--scope", "everything"), ("a client",), ("",), ("operator",)],
)
def test_a_client_that_cannot_be_is_not_paired(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    done = kaqi("pair", *arguments, "--data", str(tmp_path))

    assert done.returncode == 2
    assert problem_of(done)["code"] == "command.usage"


def test_secrets_lie_in_files_that_only_their_user_reads(
    tmp_path: Path, centre: CentreProcess
) -> None:
    with AgentProcess(tmp_path / "data", centre.address):
        pass

    folder = tmp_path / "data"
    assert folder.stat().st_mode & 0o077 == 0
    for name in ("journal.key", "operator.token", "clients"):
        assert (folder / name).stat().st_mode & 0o077 == 0, name


def test_a_card_is_activated_from_the_terminal(
    tmp_path: Path, centre: CentreProcess
) -> None:
    with AgentProcess(tmp_path, centre.address) as agent:
        insert(agent.pos, "lin.social_security")

        done = kaqi(
            *("activate", "--scenario", "outpatient_registration"),
            *("--data", str(tmp_path), "--yes"),
            PYTHONUTF8="1",
            KAQI_LANG="zh",
        )

        assert done.returncode == 0, done.stderr
        assert ">> 启用成功，请取出卡片" in done.stdout
        assert "社会保障卡启用凭条" in done.stdout
        assert "999901190102021017" not in done.stdout
        assert reader_id(agent.pos)
    assert len(centre.effects) == 1


def activated_with(folder: Path, typed: str) -> subprocess.CompletedProcess[str]:
    """The same with somebody who types at a terminal."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "plugin", "activate", "--data", str(folder)),
            *("--scenario", "outpatient_registration", "--yes"),
        ],
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONUTF8": "1", "KAQI_LANG": "en"},
        timeout=60,
        start_new_session=True,  # no terminal to read hidden input from
    )


def test_a_pin_is_typed_at_the_terminal_and_not_shown(
    tmp_path: Path, centre: CentreProcess
) -> None:
    settings = settings_for(tmp_path, new='"change_initial"')
    data = tmp_path / "data"
    with AgentProcess(data, centre.address, "--settings", settings) as agent:
        insert(agent.pos, "lin.social_security")
        typed = (
            *("12345", "654321", "123456"),
            *("123456", "246813", "246814"),
            *("123456", "123456", "123456"),
            *("123456", "246813", "246813"),
        )

        done = activated_with(data, "\n".join(typed) + "\n")

    assert done.returncode == 0, done.stderr
    for said in (
        "! The PIN has a wrong number of digits",
        "! The PIN is wrong",
        "Tries left: 5",
        "! The two entries differ",
        "! The new PIN must not be an initial one",
        ">> Activated",
    ):
        assert said in done.stdout
    for pin in typed:
        assert pin not in done.stdout + done.stderr
    assert len(centre.effects) == 1


@pytest.mark.parametrize(
    ("sure", "ends"),
    [("n", ">> Cancelled"), ("y\n123456", ">> Activated")],
)
def test_the_last_try_is_asked_about_even_of_who_said_yes_beforehand(
    tmp_path: Path, centre: CentreProcess, sure: str, ends: str
) -> None:
    settings = settings_for(tmp_path, new='"keep"', initial="[]", probe="true")
    data = tmp_path / "data"
    with AgentProcess(data, centre.address, "--settings", settings) as agent:
        insert(agent.pos, "kong.social_security")

        done = activated_with(data, f"{sure}\n")

    assert "Tries left: 1" in done.stdout
    assert ends in done.stdout


def test_without_an_agent_there_is_nothing_to_activate_through(tmp_path: Path) -> None:
    done = kaqi("activate", "--data", str(tmp_path))

    assert done.returncode == 69
    assert problem_of(done)["code"] == "agent.not_running"


def test_a_simulation_and_a_till_never_share_a_folder(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    kaqi("pair", "ci", "--simulate", "--data", data)
    file = settings_file(tmp_path, "https://centre.example")

    done = kaqi("serve", "--settings", file, "--data", data)

    assert done.returncode == 73
    assert problem_of(done)["code"] == "agent.other_purpose"


def test_a_journal_without_its_key_is_not_given_up(tmp_path: Path) -> None:
    data = tmp_path / "data"
    DataFolder(data)
    (data / "journal.db").write_bytes(b"")
    file = settings_file(tmp_path, "https://centre.example")

    done = kaqi("serve", "--settings", file, "--data", str(data), "--port", "0")

    problem = problem_of(done)
    assert (done.returncode, problem["code"]) == (73, "agent.journal_key")
    assert "不要删除数据目录" in "".join(problem["remedy"]["zh-CN"])


@pytest.mark.parametrize(
    "address",
    ["http://10.9.8.7:8080", "centre", "https://a..b", "https://a:port", "https://"],
)
def test_a_centre_from_the_command_line_is_as_safe_as_one_from_the_settings(
    tmp_path: Path, address: str
) -> None:
    file = settings_file(tmp_path, "https://centre.example")
    data = str(tmp_path / "data")

    done = kaqi("serve", "--settings", file, "--data", data, "--centre", address)
    named = kaqi("doctor", "--json", "--settings", settings_file(tmp_path, address))

    assert (done.returncode, problem_of(done)["code"]) == (2, "command.usage")
    assert "settings.invalid" in named.stdout


@pytest.mark.parametrize("content", [None, b"", b"two\nlines", b"\xff"])
def test_a_credential_that_cannot_be_used_is_told_by_its_file(
    tmp_path: Path, content: bytes | None
) -> None:
    secret = tmp_path / "credential"
    if content is not None:
        secret.write_bytes(content)
    file = settings_file(tmp_path, "https://centre.example")
    with Path(file).open("a", encoding="utf-8") as settings:
        settings.write(f'credential_file = "{secret}"\n')

    done = kaqi("serve", "--settings", file, "--data", str(tmp_path / "data"))

    problem = problem_of(done)
    assert (done.returncode, problem["code"]) == (78, "settings.invalid")
    assert str(secret) in problem["title"]


@pytest.mark.parametrize("name", ["journal.key", "operator.token", "logs/kaqi.log"])
def test_a_file_that_is_closed_to_us_is_told_by_its_name(name: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "data"
        DataFolder(folder)
        file = folder / name
        file.write_text("x", encoding="utf-8")
        file.chmod(0)

        assert str(file) in refusal_for_nobody(Path(place), folder)


def refusal_for_nobody(place: Path, folder: Path) -> str:
    """What an ordinary user is told: root, whom no file is closed to, becomes nobody."""
    if os.geteuid() != 0:
        return refusal(folder)
    for each in (place, *place.rglob("*")):
        os.chown(each, NOBODY, NOBODY)
    receiver, sender = os.pipe()
    child = os.fork()
    if not child:
        os.setuid(NOBODY)
        os.write(sender, refusal(folder).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(sender)
    with os.fdopen(receiver) as told:
        return told.read()


def refusal(folder: Path) -> str:
    try:
        DataFolder(folder)
    except DataFolderError as refused:
        return str(refused)
    return ""


def test_an_unforeseen_failure_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "purpose").mkdir()  # nothing expects a folder there

    done = kaqi("serve", "--simulate", "--data", str(tmp_path), "--port", "0")

    assert done.returncode == 70
    assert problem_of(done)["code"] == "agent.failed"
    assert "Traceback" not in done.stderr


def test_what_the_agent_refuses_is_told_with_its_place(
    tmp_path: Path, centre: CentreProcess
) -> None:
    with AgentProcess(tmp_path, centre.address):
        done = kaqi("activate", "--data", str(tmp_path), "--pos-ref", "a b")

    problem = problem_of(done)
    assert problem["code"] == "request.invalid"
    assert problem["errors"][0]["pointer"] == "/body/pos_ref"


def test_who_stops_an_activation_half_way_leaves_the_reader_free(
    tmp_path: Path, centre: CentreProcess
) -> None:
    with AgentProcess(tmp_path, centre.address) as agent:
        command = [sys.executable, "-m", "plugin", "activate", "--data", str(tmp_path)]
        asking = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert asking.stdout is not None
        asking.stdout.readline()
        asking.send_signal(signal.SIGINT)
        asking.communicate(timeout=20)

        assert asking.returncode == 130
        shown = agent.pos.request("GET", "/v1/transactions").body["transactions"]
        assert [each["state"] for each in shown] == ["cancelled"]


def test_cards_are_moved_from_a_prompt() -> None:
    commands = "cards\nin lin.medical 2\nin nobody\nout 9\nin lin.medical 2\nout 2\nwhat\nquit\n"

    done = subprocess.run(
        [sys.executable, "-m", "plugin", "simulate"],
        input=commands,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONUTF8": "1"},
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("export PCSCLITE_CSOCK_NAME=")
    assert "  lin.medical -> 2" in lines
    assert "  2 -> -" in lines
    assert any(line.startswith("? ") and "nobody" in line for line in lines)
    assert any(line.startswith("! ") for line in lines)


def test_the_demo_stays_for_whoever_wants_to_try_until_it_is_interrupted() -> None:
    environment = {**os.environ, "PYTHONUTF8": "1", "KAQI_LANG": "zh"}
    environment.pop("ONCE", None)
    demo = subprocess.Popen(
        [sys.executable, "-m", "plugin", "demo", "--port", "0"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    assert demo.stdout is not None
    said = []
    for line in demo.stdout:
        said.append(line)
        if "Ctrl-C" in line:
            break
    tried = [
        subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
        for line in said
        if line.startswith("curl -s")
    ]
    os.killpg(demo.pid, signal.SIGINT)  # as a terminal does
    _, complaints = demo.communicate(timeout=20)

    started, _, listed = (each.stdout for each in tried)
    assert json.loads(started)["state"] == "waiting_card"
    (mine,) = (
        each
        for each in json.loads(listed)["transactions"]
        if each["id"] == json.loads(started)["id"]
    )
    assert mine["state"] != "waiting_card"  # the card of the second line is in
    assert demo.returncode == 0
    assert complaints == ""


@pytest.mark.parametrize(
    ("readers", "encoding"),
    [("pcsc", "utf-8"), ("serial", "utf-8"), ("inprocess", "gbk")],
)
def test_the_demo_tells_its_story_and_leaves(readers: str, encoding: str) -> None:
    done = kaqi(
        *("demo", "--port", "0"),
        ONCE="1",
        READERS=readers,
        PYTHONIOENCODING=encoding,
        KAQI_LANG="zh",
    )

    assert done.returncode == 0, done.stderr
    story = re.findall(r">> (.*)", done.stdout)
    assert story[0] == "请插入旧医保卡（磁条卡请刷卡）"
    assert "请插入社会保障卡" in story
    assert "请核对持卡人并确认：启用后旧医保卡作废" in story
    assert story.count("启用成功，请取出卡片") == 2
    assert done.stdout.count("中心流水号") == 2
    assert done.stdout.count("curl -s") == 3
    assert "999901190102021017" not in done.stdout
    assert "http://127.0.0.1:" in done.stdout
    assert ("Virtual PCD" in done.stdout) == (readers == "pcsc")
