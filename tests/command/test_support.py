"""`kaqi support`: a bundle, with an agent and without one; it names nobody."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from plugin.data_folder import DataFolder
from simulator.people import CAST
from tests.agents import AgentProcess
from tests.centre import CentreProcess
from tests.command.test_commands import settings_file
from tests.command.test_read import kaqi, problem_of
from tests.leaks import find
from tests.scenario.test_leaks import pharmacy


def files_of(bundle: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(bundle) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def test_the_running_agent_writes_it_and_what_is_left_says_as_much(
    tmp_path: Path, centre: CentreProcess
) -> None:
    data, running, stopped = tmp_path / "data", tmp_path / "1.zip", tmp_path / "2.zip"
    options = ("--data", str(data), "--simulate")
    with AgentProcess(data, centre.address, "--debug") as agent:
        assert pharmacy(agent.pos, "lin", "lin", key="1").outcome == "activated"
        by_the_agent = kaqi("support", str(running), *options)
    alone = kaqi("support", str(stopped), *options)

    assert (by_the_agent.returncode, alone.returncode) == (0, 0)
    live, left = files_of(running), files_of(stopped)
    assert {"diagnostics.json", "metrics.txt", "activations.json"} <= set(live)
    assert {"doctor.json", "till.json", "log.jsonl", "README.txt"} == set(left)
    assert b'"apdu"' in live["log.jsonl"]
    assert b'"apdu"' in left["log.jsonl"]
    token = DataFolder(data).operator_token()
    places = [*live.items(), *left.items()]
    assert find(places, CAST) == []
    assert not [name for name, content in places if token.encode() in content]


def test_without_an_agent_the_doctor_speaks_and_nobodys_path_is_told(
    tmp_path: Path, centre: CentreProcess
) -> None:
    settings, bundle = settings_file(tmp_path, centre.address), tmp_path / "b.zip"
    data = tmp_path / "zhang-san" / "data"

    done = kaqi("support", str(bundle), "--data", str(data), "--settings", settings)

    assert done.returncode == 0
    files = files_of(bundle)
    found = {each["name"]: each for each in json.loads(files["doctor.json"])}
    assert {"program", "sqlite", "data_folder", "disk", "reader"} <= set(found)
    assert json.loads(files["till.json"])["institution"] == "P9999"
    assert not [name for name, content in files.items() if b"zhang-san" in content]
    assert not (data / "journal.key").exists()  # nothing was made that was not there


def test_with_wrong_settings_the_log_is_there_all_the_same(tmp_path: Path) -> None:
    wrong, bundle = tmp_path / "kaqi.toml", tmp_path / "b.zip"
    wrong.write_text("colour = 1\n", encoding="utf-8")
    logs = DataFolder(tmp_path / "data").logs
    line = {"logger": "kaqi.till", "event": "started"}
    (logs / "kaqi.log").write_text(json.dumps(line), encoding="utf-8")

    done = kaqi(
        "support",
        str(bundle),
        *("--data", str(tmp_path / "data"), "--settings", str(wrong)),
    )

    assert done.returncode == 0
    files = files_of(bundle)
    found = {each["name"]: each for each in json.loads(files["doctor.json"])}
    assert found["settings"]["problem"] == "settings.invalid"
    assert json.loads(files["log.jsonl"]) == line


def test_no_file_is_overwritten(tmp_path: Path) -> None:
    there = tmp_path / "there.zip"
    there.write_bytes(b"mine")

    done = kaqi("support", str(there), "--data", str(tmp_path / "data"))

    assert done.returncode == 2
    assert problem_of(done)["code"] == "command.usage"
    assert there.read_bytes() == b"mine"
