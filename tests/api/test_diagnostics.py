"""How the agent is, for whoever has to help; and what may leave the till names nobody."""

from __future__ import annotations

import io
import json
import urllib.request
import zipfile
from pathlib import Path

import pytest

from plugin import logs
from plugin.activation.problem import Problem
from plugin.agent import doctor, support
from plugin.agent.doctor import Finding, Remembered
from simulator.people import CAST
from simulator.reader import InProcessDesk
from tests.agents import Pos, Running
from tests.api.conftest import LISTED
from tests.centre import CentreProcess
from tests.leaks import find
from tests.scenario.counter import Counter, two_cards

BUNDLED = {
    "README.txt",
    "diagnostics.json",
    "metrics.txt",
    "activations.json",
    "log.jsonl",
}


def unpacked(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as bundle:
        return {name: bundle.read(name) for name in bundle.namelist()}


def bundle(pos: Pos) -> dict[str, bytes]:
    """The bundle's files."""
    asked = urllib.request.Request(
        f"http://127.0.0.1:{pos.port}/v1/diagnostics/bundle",
        headers={"Authorization": f"Bearer {pos.token}"},
    )
    with urllib.request.urlopen(asked, timeout=20) as answer:
        assert answer.headers["content-type"] == "application/zip"
        return unpacked(answer.read())


def test_an_agent_says_who_it_is(agent: Running) -> None:
    told = agent.pos.request("GET", "/v1/agent").body

    assert told["name"] == "kaqi"
    assert told["api_versions"] == ["v1"]
    assert told["mode"] == "simulation"
    assert told["region_profile"] == {"id": "reference", "version": "1"}
    assert {"activation", "dry_run", "events", "simulate"} <= set(told["capabilities"])
    assert "pin" not in told["capabilities"]  # by these rules
    assert len(told["instance_id"]) == 16
    assert agent.pos.request("GET", "/v1/agent").body == told


def test_diagnostics_need_more_than_reading(agent: Running) -> None:
    reader = Pos(agent.port, agent.folder.pair("reader", ("read", "activate")))

    for path in ("/v1/diagnostics", "/v1/diagnostics/bundle"):
        assert reader.request("GET", path).code == "auth.scope"
    assert reader.request("GET", "/v1/agent").status == 200


def test_diagnostics_say_how_everything_is(
    pos: Pos, counter: Counter, centre: CentreProcess
) -> None:
    pos.kaqi.confirm(two_cards(counter))
    counter.reaches("succeeded")

    told = pos.request("GET", "/v1/diagnostics").body

    assert (told["safe_mode"], told["problems"]) == (False, [])
    assert told["uptime_s"] > 0
    assert told["disk_free_mib"] > 0
    assert told["started_at"] <= told["time"]
    assert {each["name"] for each in told["checks"]} >= {"journal", "disk", "reader"}
    assert [each["problem"] for each in told["readers"]] == [None] * 3
    ended = {"type": "activation", "outcome": "activated", "code": ""}
    wanted = {"name": "transactions", "labels": ended, "value": 1}
    assert wanted in told["counts"]
    assert told["settings"]["centre_address"] == centre.address
    assert told["settings"]["origins"] == [LISTED]
    assert told["settings"]["centre_credential"] is False


def test_what_is_wrong_is_told_with_its_remedy(pos: Pos, hand: InProcessDesk) -> None:
    for reader in hand.readers():
        hand.unplug(reader)

    told = pos.request("GET", "/v1/diagnostics").body

    wrong = {each["name"]: each for each in told["checks"]}["reader"]
    assert not wrong["ok"]
    assert wrong["problem"]["code"] == "reader.none"
    assert wrong["problem"]["remedy"]["zh-CN"]


def test_not_ready_says_since_when_and_when_to_ask_again(
    pos: Pos, hand: InProcessDesk
) -> None:
    ready = pos.request("GET", "/readyz")
    for reader in hand.readers():
        hand.unplug(reader)
    broken = pos.request("GET", "/readyz")

    assert "retry-after" not in ready.headers
    assert int(broken.headers["retry-after"]) > 0
    checks = {each["name"]: each for each in broken.body["checks"]}
    assert checks["reader"]["problem"]["remedy"]["en"]
    assert all(each["since"] for each in broken.body["checks"])


def test_since_is_when_it_was_first_seen_like_this() -> None:
    now = {"wall": "1", "reader": "reader.none"}

    def look() -> tuple[Finding, ...]:
        problem = Problem(now["reader"]) if now["reader"] else None
        reader = Finding(name="reader", required=True, problem=problem)
        return (reader, doctor.journal(None))

    def since() -> list[str | None]:
        return [each.since for each in remembered()]

    remembered = Remembered(look, lambda: now["wall"])
    assert since() == ["1", "1"]
    now["wall"] = "2"
    assert since() == ["1", "1"]
    now["reader"] = ""
    assert since() == ["2", "1"]
    now.update(wall="3", reader="reader.none")
    assert since() == ["3", "1"]


def test_a_bundle_holds_what_support_asks_for(pos: Pos, counter: Counter) -> None:
    pos.kaqi.confirm(two_cards(counter))
    counter.reaches("succeeded")

    files = bundle(pos)

    assert set(files) == BUNDLED
    assert json.loads(files["diagnostics.json"])["agent"]["name"] == "kaqi"
    assert b"kaqi_transactions_total" in files["metrics.txt"]
    (record,) = json.loads(files["activations.json"])
    assert record["state"] == "ACTIVE"
    lines = [json.loads(line) for line in files["log.jsonl"].splitlines()]
    assert any(line["event"] == "transaction.completed" for line in lines)
    assert any(line.get("sw") == "9000" for line in lines)
    subjects = {line["subject"] for line in lines if "subject" in line}
    of_one = {each for each in subjects if each.startswith("transactions/")}
    # a hash still tells what belongs together
    assert of_one == {f"transactions/{record['transaction']}"}


def test_a_bundle_names_nobody(agent: Running, counter: Counter) -> None:
    pos = agent.pos
    secrets = ("sale-4711", "clerk-7", pos.token, agent.folder.operator_token())
    counter.start("pharmacy", pos_ref="sale-4711", operator_ref="clerk-7")
    counter.put("lin.medical", 0)
    counter.reaches("waiting_card.social_security")
    counter.put("lin.social_security", 1)
    counter.reaches("waiting_confirm")
    pos.kaqi.confirm(counter.now)
    done = counter.reaches("succeeded")
    lin = next(person for person in CAST if person.key == "lin")
    with (agent.folder.logs / "kaqi.log").open("a", encoding="utf-8") as log:
        for where in ("event", "state", "code", "reader", "transaction", "trace_id"):
            for value in _personal(lin.holder.name, lin.old_card_number):
                log.write(json.dumps({"logger": "kaqi.x", where: value}) + "\n")
        log.write(f"{lin.holder.name}\n")

    files = bundle(pos)

    assert find(files.items(), CAST) == []
    everything = b"\n".join(files.values())
    journal_key = (agent.folder.path / "journal.key").read_bytes()
    ids = (done.id, done.id[2:], done.data["result"]["activation"])
    for secret in (*secrets, journal_key.decode(), *ids):
        assert secret.encode() not in everything


def _personal(name: str, card_number: str) -> tuple[object, ...]:
    number = "999901190102021017"
    return name, f"read {name}", number, int(number), card_number, f"card {number}"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({"logger": "kaqi.x", "event": "started"}, {"logger", "event"}),
        ({"logger": "uvicorn.error", "event": "hello"}, {"logger"}),
        ({"logger": "kaqi.x", "event": "card 6222021234567890"}, {"logger"}),
        ({"sw": "9000"}, {"sw"}),
        ({"sw": "123456"}, set()),
        ({"sent": 8}, {"sent"}),
        ({"sent": 975310}, set()),
        ({"trace_id": "0123456789abcdef"}, {"trace_id"}),
        ({"trace_id": "6222021234567890"}, set()),
        ({"reader": "Reader of Zhang San"}, set()),
        ({"code": "card.mute"}, {"code"}),
        ({"code": "林试一"}, set()),
        ({"name": "started"}, set()),
        ({"state": ["林试一"]}, set()),
    ],
)
def test_a_field_leaves_the_till_only_if_it_is_what_it_should_be(
    said: dict[str, object], kept: set[str]
) -> None:
    raw = json.dumps(said).encode()

    (line,) = support.log_lines(raw, lambda _: "hash")

    assert line.keys() - {"left_out"} == kept
    assert line.get("left_out", 0) == len(said) - len(kept)


@pytest.mark.parametrize(
    "raw", [b"", b"\n\n", b"{", b"[]", b"7", b"\xff", b"[" * 9_999]
)
def test_a_line_that_is_none_leaves_nothing(raw: bytes) -> None:
    assert list(support.log_lines(raw, str)) == []


def test_only_the_end_of_a_long_log_is_taken(tmp_path: Path) -> None:
    assert support.tail(logs.latest(tmp_path)) == b""
    (tmp_path / "kaqi.log.6").write_bytes(b'{"seq": 0}\n' * 100_000)
    (tmp_path / "kaqi.log.7").write_bytes(b'{"seq": 1}\n' * 100_000)
    (tmp_path / "kaqi.log").write_bytes(b'{"seq": 2}\n')

    end = support.tail(logs.latest(tmp_path))

    assert support.TAIL_BYTES - 20 < len(end) <= support.TAIL_BYTES
    assert end.startswith(b'{"seq": 1}\n{')
    assert end.endswith(b'{"seq": 1}\n{"seq": 2}\n')
