"""Open consoles outlive the agent, and end when they should: what is kept of them, on a clock
that is moved by hand."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from plugin.agent.clients import OPERATOR, SCOPES
from plugin.agent.console import SESSION_SECONDS, SESSIONS_AT_MOST
from plugin.agent.service import ProblemError
from plugin.data_folder import DataFolder, DataFolderError
from tests.unit.test_pairings import HERE, Entrance


@pytest.fixture
def entrance(tmp_path: Path) -> Entrance:
    return Entrance(tmp_path)


def opened(entrance: Entrance) -> str:
    """The token of a new console."""
    return entrance.console.open(entrance.console.code(), HERE)[0]


def after_a_restart(entrance: Entrance) -> Entrance:
    """The next run of the agent, at the same time of day."""
    again = Entrance(entrance.folder.path)
    again.pass_seconds(entrance.now / 1000)
    return again


def kept(entrance: Entrance) -> Path:
    return entrance.folder.path / "consoles.json"


def test_a_console_is_known_after_a_restart_and_the_agent_to_it(
    entrance: Entrance,
) -> None:
    token = opened(entrance)
    name, key = token.partition("~")[0], entrance.console.hello_key

    again = after_a_restart(entrance)

    assert again.clients.known(token) == entrance.clients.known(token) is not None
    assert again.clients.hello_key(name) == key(name) is not None


def test_only_the_user_of_the_folder_reads_what_is_kept(entrance: Entrance) -> None:
    opened(entrance)

    assert stat.S_IMODE(kept(entrance).stat().st_mode) == 0o600


def test_what_is_kept_lets_nobody_in(entrance: Entrance) -> None:
    token = opened(entrance)
    name = token.partition("~")[0]
    (session,) = entrance.folder.consoles()
    stolen = (session.digest, f"{name}~{session.digest}", name, session.name, "")

    assert [entrance.clients.known(each) for each in stolen] == [None] * len(stolen)


@pytest.mark.parametrize("way", [1, -1])
def test_a_console_is_open_for_a_working_day(entrance: Entrance, way: int) -> None:
    """Also where somebody sets the clock back, and back again."""
    token = opened(entrance)
    name = token.partition("~")[0]
    entrance.pass_seconds(way * (SESSION_SECONDS - 0.001))
    late = entrance.clients.known(token)
    entrance.pass_seconds(way * 0.001)

    assert late is not None
    assert entrance.clients.known(token) is None
    assert entrance.console.hello_key(name) is None
    assert after_a_restart(entrance).clients.known(token) is None


def test_those_whose_time_is_over_are_not_kept(entrance: Entrance) -> None:
    opened(entrance)
    entrance.pass_seconds(SESSION_SECONDS)

    opened(entrance)

    assert len(entrance.folder.consoles()) == 1


def test_so_many_are_kept_and_the_newest(entrance: Entrance) -> None:
    tokens = [opened(entrance) for _ in range(SESSIONS_AT_MOST + 2)]

    again = after_a_restart(entrance)

    known = [again.clients.known(each) is not None for each in tokens]
    assert known == [False, False] + [True] * SESSIONS_AT_MOST


def test_who_signs_out_is_out_and_nobody_else(entrance: Entrance) -> None:
    leaves, stays = opened(entrance), opened(entrance)

    entrance.clients.sign_out(leaves)

    for one in (entrance, after_a_restart(entrance)):
        assert one.clients.known(leaves) is None
        assert one.clients.known(stays) is not None
    assert entrance.events() == [("client.revoked", "clients/console")]


def test_only_a_console_signs_out(entrance: Entrance) -> None:
    token = entrance.folder.pair("console.pos", SCOPES)

    with pytest.raises(ProblemError) as refused:
        entrance.clients.sign_out(token)

    assert refused.value.problem.code == "client.unknown"
    assert entrance.clients.known(token) is not None
    assert entrance.events() == []


VOIDS: dict[str, Callable[[DataFolder], object]] = {
    "a new token for the commands": lambda folder: folder.pair(OPERATOR, SCOPES),
    "the commands revoked": lambda folder: folder.revoke(OPERATOR),
    "the consoles revoked": lambda folder: folder.revoke("console"),
    "a copy of the disk": lambda folder: folder.lives_on("another"),
}


@pytest.mark.parametrize("void", VOIDS.values(), ids=VOIDS)
def test_consoles_end_with_what_let_them_in(
    entrance: Entrance, void: Callable[[DataFolder], object]
) -> None:
    """By another process, while the agent runs and has read them."""
    entrance.folder.lives_on("one machine")
    token = opened(entrance)
    before = entrance.clients.known(token)

    assert void(DataFolder(entrance.folder.path))

    assert before is not None
    assert entrance.clients.known(token) is None


def test_a_client_that_is_paired_ends_no_console(entrance: Entrance) -> None:
    token = opened(entrance)

    entrance.folder.pair("pos", SCOPES)
    entrance.folder.revoke("pos")

    assert entrance.clients.known(token) is not None


def test_damage_costs_the_session_and_never_the_agent(entrance: Entrance) -> None:
    token = opened(entrance)
    name = token.partition("~")[0]
    whole = kept(entrance).read_bytes()
    damaged = [whole[:place] for place in range(len(whole))]
    damaged += [
        whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        for place in range(len(whole))
    ]
    damaged += [b"[" * 100_000, b"\xff" * 99, b"null", b"{}", b"[null]"]

    let_in = []
    for content in damaged:
        kept(entrance).write_bytes(content)
        after = after_a_restart(entrance)
        after.clients.hello_key(name)
        let_in.append(after.clients.known(token))
        assert after.clients.known("") is None

    assert all(each is None or each.id == "console" for each in let_in)
    assert let_in[: len(whole)] == [None] * len(whole)
    assert opened(entrance)  # and it is written anew


def test_a_console_that_cannot_be_kept_is_not_opened(
    entrance: Entrance, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = entrance.console.code()

    def full(*_: object) -> None:
        raise DataFolderError(kept(entrance), "no space left")

    with monkeypatch.context() as disk:
        disk.setattr(entrance.folder, "keep_consoles", full)
        with pytest.raises(ProblemError) as refused:
            entrance.console.open(code, HERE)

    assert refused.value.problem.code == "client.not_kept"
    assert entrance.clients.known(entrance.console.open(code, HERE)[0]) is not None
