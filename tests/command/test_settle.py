"""`kaqi settle`: what to ask on the telephone, and what was answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plugin.client import Transaction
from tests.agents import AgentProcess
from tests.centre import CentreProcess
from tests.command.test_read import kaqi, problem_of
from tests.regions import SETTINGS
from tests.scenario.test_restarts import insert


@pytest.fixture
def folder(tmp_path: Path, centre: CentreProcess) -> Iterator[Path]:
    """A running agent in a region whose centre cannot be asked; it has not answered."""
    settings = tmp_path / "kaqi.toml"
    settings.write_text(SETTINGS.format(region="v3-old-pin"), encoding="utf-8")
    data = tmp_path / "data"
    with AgentProcess(data, centre.address, "--settings", str(settings)) as agent:
        centre.misbehave("lose_answer", "")
        pos = agent.pos
        begun = Transaction(pos.start("outpatient_registration").body)
        insert(pos, "lin.social_security")
        begun = pos.until(begun, lambda now: now.pin_wanted is not None)
        pos.until(pos.kaqi.pin(begun, "123456"), "in_doubt")
        yield data


def settle(folder: Path, *arguments: str) -> Any:  # noqa: ANN401 - a finished process
    return kaqi(
        "settle", *arguments, "--simulate", "--data", str(folder), PYTHONUTF8="1"
    )


def test_what_needs_a_person_is_listed_and_settled(folder: Path) -> None:
    (waiting,) = json.loads(settle(folder, "--json").stdout)
    shown = settle(folder)
    assert shown.returncode == 0
    assert waiting["id"] in shown.stdout
    assert waiting["sent_as"] in shown.stdout
    assert waiting["institution"] in shown.stdout

    said = ("--verdict", "active", "--reason", "asked by telephone", "--operator", "17")
    settled = settle(folder, waiting["id"], *said)
    again = settle(folder, waiting["id"], *said)

    assert settled.returncode == 0
    assert "ACTIVE" in settled.stdout
    assert again.returncode == 1
    assert problem_of(again)["code"] == "activation.not_for_a_person"
    assert "No activation needs a person" in settle(folder).stdout


def test_an_answer_needs_its_reason(folder: Path) -> None:
    (waiting,) = json.loads(settle(folder, "--json").stdout)

    asked = settle(folder, waiting["id"], "--verdict", "active")

    assert asked.returncode == 2
    assert "--reason --operator" in problem_of(asked)["messages"]["en"]


def test_without_an_agent_it_says_so(tmp_path: Path) -> None:
    done = settle(tmp_path)

    assert problem_of(done)["code"] == "agent.not_running"
