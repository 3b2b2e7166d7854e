"""A data folder that was copied to another machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from plugin.client import KaqiImpostorError
from plugin.data_folder import DataFolder
from plugin.machine import machine_id
from tests.agents import SCOPES, AgentProcess, Pos
from tests.centre import CentreProcess


@pytest.mark.skipif(machine_id() is None, reason="this machine has no id")
def test_a_copy_is_noticed_and_its_tokens_are_void(
    tmp_path: Path, centre: CentreProcess
) -> None:
    with AgentProcess(tmp_path, centre.address) as agent:
        assert agent.pos.kaqi.readers()
    token = agent.pos.token
    (tmp_path / "machine").write_text("0" * 32, encoding="ascii")  # was another's

    with AgentProcess(tmp_path, centre.address) as agent:
        old = Pos(agent.pos.port, token)
        refused = old.request("GET", "/v1/readers")
        with pytest.raises(KaqiImpostorError):  # it knows the old token no more
            old.kaqi.readers()
        assert agent.pos.kaqi.readers()  # who is paired anew is served

    assert refused.code == "auth.token_invalid"
    assert "pair every client again" in agent.output


def test_on_its_own_machine_a_folder_keeps_its_clients(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    assert not folder.lives_on("one")
    token = folder.pair("pos", SCOPES)

    assert not folder.lives_on("one")
    assert not folder.lives_on(None)  # nobody knows
    assert folder.client(token) is not None

    assert folder.lives_on("another")
    assert folder.client(token) is None
    assert not folder.lives_on("another")


def test_the_machine_is_not_written_down(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.lives_on("machine-4711")

    written = [each.read_bytes() for each in tmp_path.glob("*") if each.is_file()]

    assert not any(b"machine-4711" in each for each in written)
    assert (tmp_path / "machine").stat().st_mode & 0o077 == 0


def test_this_machine_is_the_same_every_time() -> None:
    assert machine_id() == machine_id()
