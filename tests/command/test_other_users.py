"""Another user of the same machine: a real second account, which may look wherever the
system lets it. The data folder lies where everybody may pass, and was made, or copied, by
somebody who did not think of that."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plugin.data_folder import DataFolder
from tests.agents import AgentProcess, Pos
from tests.centre import CentreProcess

NOBODY = 65_534
LOOK = """
import json, os, sys, urllib.error, urllib.request

found = {"read": [], "written": [], "listed": []}
for folder, folders, files in os.walk(sys.argv[1]):
    for name in files:
        path = os.path.join(folder, name)
        for way, kind in (("rb", "read"), ("r+b", "written")):
            try:
                with open(path, way) as opened:
                    opened.read()
                found[kind].append(name)
            except OSError:
                pass
    for name in folders:
        try:
            os.listdir(os.path.join(folder, name))
            found["listed"].append(name)
        except OSError:
            pass
calls = []
for token in ({}, {"Authorization": "Bearer operator~guess"}):
    asked = urllib.request.Request(sys.argv[2], headers=token)
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            calls.append(answer.status)
    except urllib.error.HTTPError as refused:
        calls.append(refused.code)
print(json.dumps([os.getuid(), found, calls]))
"""

needs_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="root can be another user"
)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter, with a file that everybody may read."""
    with tempfile.TemporaryDirectory(prefix="kaqi-other-users-") as made:
        folder = Path(made)
        (folder / "data").mkdir()
        (folder / "data" / "clients").mkdir()
        (folder / "data" / "control").write_text("x", encoding="ascii")
        for each in (folder, folder / "data", folder / "data" / "clients"):
            each.chmod(0o755)
        (folder / "data" / "control").chmod(0o644)
        yield folder / "data"


def as_nobody(*arguments: str) -> list[Any]:
    """What another account finds out, with the system's own Python: ours may lie where only
    we may go."""
    done = subprocess.run(
        ("/usr/bin/env", "-i", "/usr/bin/python3", "-c", LOOK, *arguments),
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
        check=True,
    )
    found: list[Any] = json.loads(done.stdout)
    return found


@needs_root
def test_another_user_reads_nothing_and_cannot_be_the_operator(
    open_folder: Path, session_centre: CentreProcess
) -> None:
    with AgentProcess(open_folder, session_centre.address, "--debug") as agent:
        operator = Pos(agent.pos.port, DataFolder(open_folder).operator_token())
        started = agent.pos.start("pharmacy").status
        clients = operator.request("GET", "/v1/clients").status

        address = f"http://127.0.0.1:{agent.pos.port}/v1/readers"
        uid, found, calls = as_nobody(str(open_folder), address)
        ours = {each.name for each in open_folder.rglob("*") if each.is_file()}

    assert (started, clients) == (202, 200)
    assert {"operator.token", "journal.key", "journal.db", "kaqi.log"} <= ours
    assert uid == NOBODY
    assert found == {"read": ["control"], "written": [], "listed": []}
    assert calls == [401, 401]


@needs_root
def test_what_an_administrator_makes_belongs_to_the_folders_user(
    open_folder: Path,
) -> None:
    """Or the agent could not use it."""
    for each in (open_folder, open_folder / "clients"):
        os.chown(each, NOBODY, NOBODY)

    folder = DataFolder(open_folder)
    folder.operator_token()

    made = {
        each.name: each.stat().st_uid
        for each in open_folder.rglob("*")
        if each.name != "control"
    }
    assert {"logs", "pairing-requests", "operator.token"} <= set(made)
    assert set(made.values()) == {NOBODY}
