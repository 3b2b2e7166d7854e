"""What vendors copy works as it stands."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from plugin.api.resources.hello import proof
from simulator.people import card as of_the_cast
from simulator.reader import InProcessDesk
from tests.agents import Pos, Running
from tests.browser.till_page import TOKEN, playing

EXAMPLES = Path(__file__).parents[2] / "examples"
PAIR = ("lin.medical", "lin.social_security")


@contextmanager
def shell(port: int, token: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The shell's example, somewhere else than here."""
    environment = os.environ | {"TOKEN": token, "AGENT": f"127.0.0.1:{port}"}
    command = ["sh", str(EXAMPLES / "activate.sh"), *arguments]
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    ) as process:
        yield process


@pytest.mark.parametrize("name", ["Kaqi.cs", "Kaqi.pas"])
def test_what_nobody_compiled_here_says_so_and_has_a_proof_to_check_it_by(
    name: str,
) -> None:
    source = (EXAMPLES / name).read_text(encoding="utf-8")
    flowing = re.sub(r"\n *///? ?", " ", source)
    said = r"Proof\(['\"](\S+?)['\"], ['\"](\S+?)['\"], ['\"](\S+?)['\"]\) is (\w{64})"
    told = re.search(said, flowing)

    assert told is not None
    token, nonce, authority, answer = told.groups()
    key = hashlib.sha256(token.encode()).digest()
    assert answer == proof(key, nonce, authority)
    assert "was never compiled or run there" in source.partition("\n\n")[0]


@pytest.mark.parametrize(
    ("answer", "state", "code"), [("y", "succeeded", 0), ("n", "cancelled", 1)]
)
def test_the_shell_activates_a_card_when_the_clerk_says_yes(
    agent: Running, pos: Pos, hand: InProcessDesk, answer: str, state: str, code: int
) -> None:
    for name, reader in zip(PAIR, hand.readers(), strict=False):
        hand.insert_card(of_the_cast(name), reader)

    with shell(agent.port, pos.token, "pharmacy") as process:
        said, _ = process.communicate(f"{answer}\n", timeout=30)

    (ended,) = pos.request("GET", "/v1/transactions").body["transactions"]
    assert process.returncode == code, said
    assert ended["state"] == state
    assert ended["step"]["text"]["zh-CN"] in said
    assert pos.token not in said


def test_the_shell_gives_its_token_to_nobody_else() -> None:
    with playing() as squatter:
        squatter.proves = False

        with shell(squatter.port, TOKEN) as process:
            said, _ = process.communicate(timeout=30)

    assert process.returncode == 1
    assert "is not kaqi" in said
    assert [each.path for each in squatter.received] == ["/v1/hello"]
    assert not squatter.saw(TOKEN)
