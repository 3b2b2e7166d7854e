"""Pairing by a file: what an installer writes, and what it finds."""

from __future__ import annotations

import json
from pathlib import Path
from random import SystemRandom

import pytest

from plugin.agent import drop_box
from plugin.agent.clients import Clients
from plugin.agent.console import Console
from plugin.agent.drop_box import MAX_BYTES, DropBox
from plugin.agent.happenings import Happenings
from plugin.agent.loop import DecidingLoop
from plugin.data_folder import DataFolder, write_private
from plugin.journal.memory import MemoryJournal
from tests.unit.test_agent_parts import StoppedClock

ASKED = {"client": "pos", "scopes": ["read", "activate"]}


class Installed:
    """A data folder, and an agent that looks into its box."""

    def __init__(self, path: Path) -> None:
        self.folder = DataFolder(path)
        self.requests = path / "pairing-requests"
        clock = StoppedClock()
        self.clients = Clients(
            self.folder,
            Console(
                sessions=self.folder,
                ticks=lambda: 0,
                wall=lambda: 0,
                random=SystemRandom(),
                scopes=frozenset({"read"}),
            ),
            Happenings(MemoryJournal(), lambda: "now"),
        )
        self.box = DropBox(
            self.requests, self.clients, DecidingLoop(clock), write_private
        )

    def ask(self, content: object = None, name: str = "pos") -> Path:
        """Leave a request."""
        said = ASKED if content is None else content
        raw = said if isinstance(said, bytes) else json.dumps(said).encode()
        file = self.requests / f"{name}.json"
        file.write_bytes(raw)
        return file

    def token(self, name: str = "pos") -> str:
        """What an installer finds."""
        return (self.requests / f"{name}.token").read_text(encoding="ascii")

    def findings(self) -> list[tuple[str, str]]:
        """What the checks say: file and reason."""
        found = list(drop_box.findings(self.requests))
        assert all(each.name == "pairing_request" for each in found)
        assert not any(each.required for each in found)
        return [
            (each.problem.facts["file"], each.problem.facts["reason"])
            for each in found
            if each.problem is not None and each.problem.code == "pairing.bad_file"
        ]


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    return Installed(tmp_path)


def test_a_request_becomes_a_token_for_programs_only(installed: Installed) -> None:
    request = installed.ask()

    installed.box.look()

    client = installed.folder.client(installed.token())
    assert client is not None
    assert (client.id, client.scopes) == ("pos", frozenset({"read", "activate"}))
    assert client.calls_from(None)
    assert not client.calls_from("https://his.example")
    assert not request.exists()
    assert (installed.requests / "pos.token").stat().st_mode & 0o077 == 0
    assert installed.findings() == []


def test_a_web_page_is_paired_for_its_origin(installed: Installed) -> None:
    installed.ask({**ASKED, "origin": "https://his.example"})

    installed.box.look()

    client = installed.folder.client(installed.token())
    assert client is not None
    assert client.calls_from("https://his.example")
    assert not client.calls_from(None)


def test_a_power_cut_before_the_request_is_gone_keeps_the_token(
    installed: Installed,
) -> None:
    installed.ask()
    installed.box.look()
    token = installed.token()
    installed.ask()  # it is still there, or was left again

    installed.box.look()

    assert installed.token() == token
    assert installed.folder.client(token) is not None
    assert not (installed.requests / "pos.json").exists()


def test_another_wish_or_a_lost_token_makes_a_new_one(installed: Installed) -> None:
    installed.ask()
    installed.box.look()
    first = installed.token()
    installed.ask({**ASKED, "scopes": ["read"]})
    installed.box.look()
    second = installed.token()
    (installed.requests / "pos.token").unlink()
    installed.ask({**ASKED, "scopes": ["read"]})
    installed.box.look()

    known = [installed.folder.client(t) for t in (first, second, installed.token())]
    assert [each is not None for each in known] == [False, False, True]


BAD: dict[str, tuple[object, str]] = {
    "not JSON": (b"{oops", "not JSON"),
    "not UTF-8": (b"\xff\xfe\x00", "not JSON"),
    "empty": (b"", "not JSON"),
    "a list": ([], "Expected `object`, got `array`"),
    "deep": (b"[" * 4_000, "not JSON"),
    "too large": (b" " * (MAX_BYTES + 1), "larger than 4 KiB"),
    "no client": ({"scopes": ["read"]}, "client: missing"),
    "an odd client": ({**ASKED, "client": "a b"}, "client: Expected `str` matching"),
    "a reserved client": ({**ASKED, "client": "operator"}, "client: another name"),
    "no scopes": ({**ASKED, "scopes": []}, "scopes: Expected `array` of length >= 1"),
    "admin": ({**ASKED, "scopes": ["admin"]}, "scopes/0: one of: read, activate"),
    "an origin that is none": ({**ASKED, "origin": "*"}, "origin: Expected"),
    "something unknown": ({**ASKED, "scope": "read"}, "scope: unknown key"),
}


@pytest.mark.parametrize(("content", "reason"), BAD.values(), ids=BAD.keys())
def test_a_bad_request_is_named_and_harms_no_other(
    installed: Installed, content: object, reason: str
) -> None:
    installed.ask(content, "bad")
    installed.ask(name="good")

    installed.box.look()

    (found,) = installed.findings()
    assert found[0] == "bad.json"
    assert found[1].startswith(reason)
    assert installed.folder.client(installed.token("good")) is not None
    assert (installed.requests / "bad.json").exists()
    assert not (installed.requests / "bad.token").exists()


def test_a_folder_in_place_of_a_request_is_named(installed: Installed) -> None:
    (installed.requests / "odd.json").mkdir()

    installed.box.look()

    assert installed.findings() == [("odd.json", "not a regular file")]


def test_a_mended_request_is_met(installed: Installed) -> None:
    installed.ask(b"{half of")
    installed.box.look()
    installed.ask()

    installed.box.look()

    assert installed.findings() == []
    assert installed.folder.client(installed.token()) is not None


def test_a_copied_folder_keeps_no_token(installed: Installed) -> None:
    installed.folder.lives_on("one machine")
    installed.ask()
    installed.box.look()
    token = installed.token()

    assert installed.folder.lives_on("another")

    assert installed.folder.client(token) is None
    assert not (installed.requests / "pos.token").exists()
