"""`kaqi restore`, and `kaqi serve` in safe mode: real processes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from plugin.agent.backups import NEWEST
from plugin.client import Transaction
from tests.agents import AgentProcess, Pos
from tests.api.test_events import following
from tests.centre import CentreProcess
from tests.command.test_read import kaqi, problem_of
from tests.damaged import ALL, FINISHED, Till
from tests.scenario.test_restarts import insert, register

OVER_THE_TELEPHONE = {"verdict": "active", "reason": "asked", "operator_ref": "17"}


@pytest.fixture
def till(tmp_path: Path) -> Till:
    return Till(tmp_path / "till")


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
        with following(pos, last=0) as stream:
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


def test_a_sound_journal_is_left_alone(till: Till, tmp_path: Path) -> None:
    before = till.path.read_bytes()

    done = restore(till)
    nobody = kaqi("restore", "--data", str(tmp_path / "new"), KAQI_LANG="en")

    assert (done.returncode, nobody.returncode) == (0, 0)
    assert "nothing to do" in done.stdout
    assert "nothing to do" in nobody.stdout
    assert till.path.read_bytes() == before


def test_nothing_is_done_without_a_yes(till: Till) -> None:
    till.hurt(till.ids[-2])
    before = till.path.read_bytes()
    command = ("restore", "--data", str(till.folder.path))

    nobody = kaqi(*command, KAQI_LANG="en")
    no = subprocess_with_answer("n\n", *command)

    assert nobody.returncode == 2
    assert "--yes" in problem_of(nobody)["title"]
    assert no.returncode == 1
    assert f"{ALL - 1} records" in no.stdout  # the plan was shown
    assert "Nothing was changed" in no.stdout
    assert till.path.read_bytes() == before


def subprocess_with_answer(
    answer: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    import os
    import sys

    return subprocess.run(
        [sys.executable, "-m", "plugin", *arguments],
        input=answer,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "KAQI_LANG": "en"},
        timeout=60,
    )


def test_where_nothing_is_left_an_empty_journal_is_offered(till: Till) -> None:
    till.path.write_bytes(bytes(50_000))

    refused = restore(till, "--yes")
    begun = restore(till, "--yes", "--empty")

    assert refused.returncode == 74
    assert "--empty" in problem_of(refused)["detail"]
    assert begun.returncode == 0
    assert till.states() == {}
    (kept,) = till.folder.path.glob("journal.damaged-*.db")
    assert kept.read_bytes() == bytes(50_000)


def test_a_running_till_is_not_restored(till: Till, centre: CentreProcess) -> None:
    with AgentProcess(till.folder.path, centre.address):
        done = restore(till, "--yes")

    assert done.returncode == 75
    assert problem_of(done)["code"] == "agent.journal_in_use"


def test_the_doctor_names_a_damaged_journal(till: Till, tmp_path: Path) -> None:
    till.hurt(till.ids[-2])

    done = kaqi("doctor", "--json", "--data", str(till.folder.path))

    found = {each["name"]: each for each in json.loads(done.stdout)}
    assert done.returncode == 1
    assert found["journal"]["required"]
    assert found["journal"]["problem"]["code"] == "agent.safe_mode"
    assert "kaqi restore" in found["journal"]["problem"]["remedy"]["en"][-1]


@pytest.mark.parametrize("epoch_too", [False, True], ids=["noticed", "unnoticed"])
def test_yesterdays_journal_put_back_by_hand_doubles_nothing(
    tmp_path: Path, centre: CentreProcess, epoch_too: bool
) -> None:
    """F20: the file alone, as a technician copies it, or with everything beside it, as
    another disk has it: then nothing here can tell."""
    journal, epoch = tmp_path / "journal.db", tmp_path / "journal.epoch"
    with AgentProcess(tmp_path, centre.address) as agent:
        register(agent.pos, "yesterday")
    then = {each: each.read_bytes() for each in (journal, epoch)}
    with AgentProcess(tmp_path, centre.address) as agent:
        begun = register(agent.pos, "today")
        insert(agent.pos, "lin.social_security")
        agent.pos.until(begun, "succeeded")
    journal.write_bytes(then[journal])
    if epoch_too:
        epoch.write_bytes(then[epoch])

    with AgentProcess(tmp_path, centre.address) as agent:
        answer = agent.pos.start("outpatient_registration")
    noticed = answer.status == 503
    done = kaqi("restore", "--data", str(tmp_path), "--yes", KAQI_LANG="en")
    with AgentProcess(tmp_path, centre.address) as agent:
        again = register(agent.pos, "again")
        insert(agent.pos, "lin.social_security")
        again = agent.pos.until(again, "succeeded")

    assert noticed == (not epoch_too)
    assert done.returncode == 0
    assert ("nothing to do" in done.stdout) == epoch_too
    assert ("records may be missing" in done.stdout) == (not epoch_too)
    assert again.outcome == "already_active"
    assert len(centre.effects) == 1


def test_a_copy_put_back_by_hand_calls_nothing_abandoned(
    tmp_path: Path, centre: CentreProcess
) -> None:
    """It was copied while a transaction had only begun; since then it was activated."""
    till = Till(tmp_path)
    with AgentProcess(tmp_path, centre.address) as agent:
        begun = register(agent.pos, "sale-1")
        agent.kill()
    till.copy()
    with AgentProcess(tmp_path, centre.address) as agent:
        agent.pos.kaqi.get(begun.id)
    till.path.write_bytes((tmp_path / NEWEST).read_bytes())

    done = restore(till, "--yes")
    with AgentProcess(tmp_path, centre.address) as agent:
        found = activations(agent.pos)

    assert "To be settled by a person" in done.stdout
    states = [each["state"] for each in found.values()]
    assert states.count("ACTIVE") == FINISHED
    assert states.count("MANUAL") == ALL - FINISHED + 1
    assert "ABANDONED" not in states
