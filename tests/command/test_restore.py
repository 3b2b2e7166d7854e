"""`kaqi restore`, and `kaqi serve` in safe mode: real processes."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plugin import cli
from plugin.client import Transaction
from plugin.journal.place import Place
from tests.agents import AgentProcess, Pos
from tests.api.test_events import following
from tests.centre import CentreProcess
from tests.command.test_read import kaqi
from tests.damaged import ALL, Till
from tests.scenario.test_restarts import insert

OVER_THE_TELEPHONE = {"verdict": "active", "reason": "asked", "operator_ref": "17"}


@pytest.fixture
def till(tmp_path: Path) -> Till:
    return Till(tmp_path / "till")


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    """Obey a command line in this process: its exit code and what it said."""
    monkeypatch.setenv("KAQI_LANG", "en")

    def obey(*arguments: str | Path) -> tuple[int, str, str]:
        code = cli.run([str(each) for each in arguments])
        return code, *capsys.readouterr()

    return obey


def restore(till: Till, *arguments: str) -> subprocess.CompletedProcess[str]:
    folder = str(till.folder.path)
    return kaqi("restore", "--data", folder, *arguments, KAQI_LANG="en")


def activations(pos: Pos) -> dict[str, dict[str, Any]]:
    found = pos.request("GET", "/v1/activations?limit=100").body["activations"]
    return {each["id"]: each for each in found}


def dry_run(pos: Pos, card: str) -> Transaction:
    """What a card's activation would come to."""
    answer = pos.start("outpatient_registration", {"kind": "dry_run"})
    assert answer.status == 202, answer.body
    insert(pos, card)
    return pos.until(Transaction(answer.body), "succeeded")


def test_a_damaged_till_reads_cards_promises_nothing_and_is_restored(
    till: Till, centre: CentreProcess
) -> None:
    till.hurt(till.ids[-2])
    before = till.path.read_bytes()
    with AgentProcess(till.folder.path, centre.address) as agent:
        pos = agent.pos
        ready = pos.request("GET", "/readyz")
        refused = {
            name: answer.body["code"] if answer.status == 503 else str(answer.status)
            for name, answer in {
                "start": pos.start("outpatient_registration"),
                "list": pos.request("GET", "/v1/activations"),
                "one": pos.request("GET", f"/v1/activations/{till.ids[0]}"),
                "settle": pos.request(
                    "POST",
                    f"/v1/activations/{till.ids[-1]}/settle",
                    OVER_THE_TELEPHONE,
                    key="k",
                ),
            }.items()
        }
        tried = dry_run(pos, "lin.social_security")
        assert [each["code"] for each in tried.notices] == ["agent.safe_mode"]
        with following(pos, "0") as stream:
            told = stream.until("agent.degraded")[-1]
        folder, address = str(till.folder.path), centre.address
        second = kaqi(
            *("serve", "--simulate", "--port", "0"),
            *("--data", folder, "--centre", address),
        )
        untouched = till.path.read_bytes()
        done = restore(till, "--yes")
    said = agent.output

    assert "安全模式" in said
    assert "kaqi restore" in said
    checks = {each["name"]: each for each in ready.body["checks"]}
    assert ready.status == 503
    assert checks["journal"]["required"]
    assert checks["journal"]["problem"]["code"] == "agent.safe_mode"
    assert set(refused.values()) == {"agent.safe_mode"}, refused
    assert tried.outcome == "would_activate"
    assert told["data"]["data"]["code"] == "agent.safe_mode"
    assert second.returncode == 75
    assert untouched == before
    assert done.returncode == 0, done.stderr
    assert "1 records" in done.stdout
    assert "start kaqi again" in done.stdout
    (kept,) = till.folder.path.glob("journal.damaged-*.db")
    assert kept.read_bytes() == before
    with AgentProcess(till.folder.path, centre.address) as agent:
        found = activations(agent.pos)
        assert agent.pos.request("GET", "/readyz").status == 200
    assert len(found) == ALL - 1
    assert till.ids[-2] not in found


def test_what_comes_from_a_copy_is_shown_to_the_person_who_settles_it(
    till: Till, centre: CentreProcess
) -> None:
    till.copy()
    till.hurt(till.ids[-2])

    done = restore(till, "--yes")
    with AgentProcess(till.folder.path, centre.address) as agent:
        found = activations(agent.pos)[till.ids[-2]]
        listed = kaqi(
            *("settle", "--simulate", "--data", str(till.folder.path)), KAQI_LANG="en"
        )

    assert f"{ALL - 1} records" in done.stdout
    assert "message-23" in done.stdout
    assert "kaqi settle" in done.stdout
    assert (found["state"], found["needs_a_person"]) == ("MANUAL", True)
    assert found["problem"]["code"] == "activation.restored"
    assert "from a copy of the journal" in listed.stdout
    assert "message-23" in listed.stdout
    assert centre.messages == []  # nobody has sent it again


def test_a_sound_journal_is_left_alone(
    till: Till, tmp_path: Path, command: Command
) -> None:
    before = till.path.read_bytes()

    code, said, _ = command("restore", "--data", till.folder.path)
    new = command("restore", "--data", tmp_path / "new")

    assert (code, new[0]) == (0, 0)
    assert "nothing to do" in said
    assert "nothing to do" in new[1]
    assert till.path.read_bytes() == before


@pytest.mark.parametrize(
    ("answer", "code", "word"),
    [("", 2, "--yes"), ("n\n", 1, "Nothing was changed")],
    ids=["nobody", "no"],
)
def test_nothing_is_done_without_a_yes(
    till: Till,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    code: int,
    word: str,
) -> None:
    till.hurt(till.ids[-2])
    before = till.path.read_bytes()
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))

    ended, said, complained = command("restore", "--data", till.folder.path)

    assert ended == code
    assert f"{ALL - 1} records" in said  # the plan was shown
    assert word in said + complained
    assert till.path.read_bytes() == before
    assert not [*till.folder.path.glob("restoring*")]


def test_where_nothing_is_left_an_empty_journal_is_offered(
    till: Till, command: Command
) -> None:
    till.path.write_bytes(bytes(50_000))
    yes = ("restore", "--data", till.folder.path, "--yes")

    code, _, complained = command(*yes)
    begun, said, _ = command(*yes, "--empty")

    assert code == 74
    assert "--empty" in complained
    assert begun == 0
    assert "an empty journal begins" in said
    assert till.states() == {}
    (kept,) = till.folder.path.glob("journal.damaged-*.db")
    assert kept.read_bytes() == bytes(50_000)


def test_a_running_till_is_not_restored(till: Till, command: Command) -> None:
    place = Place(till.folder.path)
    running = place.opened(till.open)

    code, _, complained = command("restore", "--data", till.folder.path, "--yes")
    running.close()
    place.close()

    assert code == 75
    assert "agent.journal_in_use" in complained


def test_the_doctor_names_a_damaged_journal(till: Till) -> None:
    till.hurt(till.ids[-2])

    done = kaqi("doctor", "--json", "--data", str(till.folder.path))

    found = {each["name"]: each for each in json.loads(done.stdout)}
    assert done.returncode == 1
    assert found["journal"]["required"]
    assert found["journal"]["problem"]["code"] == "agent.safe_mode"
    assert "kaqi restore" in found["journal"]["problem"]["remedy"]["en"][-1]
