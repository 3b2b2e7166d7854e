"""Letting clients in, listing and revoking them, and opening the console, as commands."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from plugin import cli
from plugin.agent import drop_box
from plugin.client import Kaqi, KaqiImpostorError
from plugin.commands import pair
from plugin.commands.serve import Options
from plugin.data_folder import DataFolder
from simulator.reader import InProcessDesk
from tests.agents import Running, running
from tests.centre import CentreProcess
from tests.waiting import wait_until

WISH = {"client": "his", "scopes": ["read"]}


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands speak the operator's language, and keep what they write to themselves."""
    monkeypatch.setenv("KAQI_LANG", "en")
    usual = os.umask(0o022)
    yield
    os.umask(usual)


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that looks for files all the time."""
    monkeypatch.setattr(drop_box, "LOOK_AGAIN_MS", 20)


@pytest.fixture
def agent(tmp_path: Path, session_centre: CentreProcess) -> Iterator[Running]:
    hand = InProcessDesk()
    with running(
        tmp_path, session_centre.address, {"inprocess": hand}, hand
    ) as started:
        started.folder.announce(started.port)
        yield started


def asked(agent: Running) -> dict[str, Any]:
    answer = agent.pos.request("POST", "/v1/pairings", WISH)
    assert answer.status == 201, answer.body
    found: dict[str, Any] = answer.body
    return found


def token_of(agent: Running, begun: dict[str, Any]) -> str | None:
    secret = {"Authorization": f"Bearer {begun['secret']}"}
    path = f"/v1/pairings/{begun['id']}"
    token: str | None = agent.pos.request("GET", path, headers=secret).body["token"]
    return token


def wrong(begun: dict[str, Any]) -> str:
    return f"{(int(begun['code']) + 1) % 10**6:06}"


def kaqi(agent: Running, *arguments: str) -> int:
    return cli.run([*arguments, "--data", str(agent.folder.path)])


def test_who_asks_is_listed_and_let_in_by_its_code(
    agent: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = asked(agent), asked(agent)

    assert kaqi(agent, "pair") == 0
    listed = capsys.readouterr().out
    assert kaqi(agent, "pair", "--approve", second["code"]) == 0
    said = capsys.readouterr().out
    assert kaqi(agent, "pair", "--deny", first["id"]) == 0

    assert f"{first['id']}  his" in listed
    assert "a program on this machine" in listed
    assert first["code"] not in listed
    assert said == "his is let in (read).\n"
    assert capsys.readouterr().out == "his is refused.\n"
    token = token_of(agent, second)
    assert token is not None
    assert Kaqi(token=token, address=f"127.0.0.1:{agent.port}").readers()
    assert token_of(agent, first) is None


def test_a_wrong_code_lets_nobody_in(
    agent: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = asked(agent)

    assert kaqi(agent, "pair", "--approve", wrong(begun)) == 1
    assert kaqi(agent, "pair", "--deny", "p-00000000") == 1
    assert kaqi(agent, "pair", "--deny", "no such/id") == 1

    codes = [json.loads(line)["code"] for line in capsys.readouterr().err.splitlines()]
    assert codes == ["pairing.wrong_code", "pairing.unknown", "request.not_found"]
    assert token_of(agent, begun) is None


def test_somebody_at_the_terminal_is_asked_for_the_code(
    agent: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = asked(agent)
    questions: list[str] = []

    def types(question: str) -> str:
        questions.append(question)
        return f" {begun['code']} "

    code = pair.show(Options(data=agent.folder.path), as_json=False, ask=types)

    assert code == 0
    assert questions == ["The six digits that the client shows (only Enter: not now)"]
    assert "his is let in" in capsys.readouterr().out
    assert token_of(agent, begun) is not None


def test_only_enter_decides_nothing(
    agent: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = asked(agent)

    pair.show(Options(data=agent.folder.path), as_json=False, ask=lambda _: "")

    assert "kaqi pair --approve CODE" in capsys.readouterr().out
    assert token_of(agent, begun) is None


def test_clients_are_listed_and_revoked(
    agent: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    token = agent.folder.pair("his", ("read",), "https://his.example")
    kaqi(agent, "clients")
    listed = capsys.readouterr().out
    kaqi(agent, "clients", "--json")
    as_json = json.loads(capsys.readouterr().out)

    assert kaqi(agent, "clients", "--revoke", "his") == 0
    assert capsys.readouterr().out == "his is revoked: its token is void.\n"
    assert kaqi(agent, "clients", "--revoke", "his") == 1

    assert "his  read  https://his.example  20" in listed
    assert as_json[0]["scopes"] == ["read"]
    assert token not in listed + json.dumps(as_json)
    assert json.loads(capsys.readouterr().err)["code"] == "client.unknown"
    with pytest.raises(KaqiImpostorError):
        Kaqi(token=token, address=f"127.0.0.1:{agent.port}").readers()


def test_a_client_is_revoked_also_while_no_agent_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = DataFolder(tmp_path)
    token = folder.pair("his", ("read",))
    folder.announce(1)  # one that was killed, and nobody listens there

    assert cli.run(["clients", "--revoke", "his", "--data", str(tmp_path)]) == 0
    assert cli.run(["clients", "--revoke", "his", "--data", str(tmp_path)]) == 1

    assert folder.client(token) is None
    assert json.loads(capsys.readouterr().err)["code"] == "client.unknown"


def test_the_console_is_opened_by_an_address_that_works_once(
    agent: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    assert kaqi(agent, "console", "--no-browser", "--json") == 0

    address = json.loads(capsys.readouterr().out)["address"]
    page, _, told = address.partition("/#")
    (code,) = parse_qs(told)["code"]
    origin = {"Origin": page}
    opened = [
        agent.pos.request(
            "POST", "/v1/console/session", {"code": code}, headers=origin
        ).status
        for _ in range(2)
    ]
    assert page == f"http://127.0.0.1:{agent.port}"
    assert opened == [201, 403]


@pytest.mark.parametrize("command", ["pair", "console"])
def test_without_an_agent_there_is_nothing_to_ask(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    DataFolder(tmp_path)

    code = cli.run([command, "--data", str(tmp_path)])

    assert code == 69
    assert json.loads(capsys.readouterr().err)["code"] == "agent.not_running"


def test_a_command_is_not_fooled_by_who_took_the_port(
    agent: Running, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The agent of this folder was killed; another's has its port now."""
    folder = DataFolder(tmp_path_factory.mktemp("other"))
    folder.announce(agent.port)

    assert cli.run(["pair", "--data", str(folder.path)]) == 69


def test_a_token_may_be_for_one_site_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = ["--origin", "https://his.example"]

    assert cli.run(["pair", "his", *site, "--json", "--data", str(tmp_path)]) == 0

    said = json.loads(capsys.readouterr().out)
    client = DataFolder(tmp_path).client(said["token"])
    assert client is not None
    assert client.id == said["client_id"] == "his"
    assert client.calls_from("https://his.example")
    assert not client.calls_from(None)


@pytest.mark.usefixtures("often")
def test_an_installer_pairs_a_client_of_the_running_agent(agent: Running) -> None:
    requests = agent.folder.path / "pairing-requests"
    (requests / "pos-2.json").write_text(json.dumps(WISH), encoding="utf-8")
    (requests / "bad.json").write_text("{oops", encoding="utf-8")

    wait_until((requests / "pos-2.token").exists)

    token = (requests / "pos-2.token").read_text(encoding="ascii")
    assert Kaqi(token=token, address=f"127.0.0.1:{agent.port}").readers()
    ready = agent.pos.request("GET", "/readyz").body["checks"]
    (bad,) = [each for each in ready if each["name"] == "pairing_request"]
    assert bad["problem"]["code"] == "pairing.bad_file"
    assert "bad.json is wrong (not JSON)" in bad["problem"]["title"]
    assert not bad["required"]
