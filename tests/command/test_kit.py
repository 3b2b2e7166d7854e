"""`kaqi serve --simulate --json`: the agent, the centre and the cast as one process that a
vendor's tests start, use through the vendor's client, and end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from plugin import __version__
from plugin.client import Kaqi, Transaction
from tests.command.test_read import kaqi, problem_of
from tests.waiting import WAIT_SECONDS, wait_until

COMMAND = (sys.executable, "-m", "plugin", "serve", "--simulate", "--json")
IN_DOUBT = [
    {"fault": "lose_answer", "operation": "activations"},
    {"fault": "lose_request", "operation": "activation-status"},
]
A_PARENT = """
import subprocess, sys
kit = subprocess.Popen({command}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
print(kit.stdout.readline(), end="", flush=True)
sys.stdin.read()
"""


class Kit:
    """What a vendor's test harness does with it."""

    def __init__(self, temporary: Path) -> None:
        self.process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(temporary)},
        )
        assert self.process.stdout is not None
        self.told: dict[str, Any] = json.loads(self.process.stdout.readline())
        address = self.told["address"].removeprefix("http://")
        self.kaqi = Kaqi(token=self.told["token"], address=address)
        cast = self.kaqi.call("GET", "/v1/simulate/cast")
        self.readers = [each["id"] for each in cast["readers"]]

    def hand(self, verb: str, reader: int, body: dict[str, Any] | None = None) -> None:
        path = f"/v1/simulate/readers/{self.readers[reader]}/{verb}"
        self.kaqi.call("POST", path, body or {})

    def centre(self, faults: list[dict[str, Any]]) -> None:
        self.kaqi.call("POST", "/v1/simulate/centre", {"faults": faults})

    def activated(self) -> int:
        """How often the centre has done it."""
        return len(self.kaqi.call("GET", "/v1/simulate/centre")["activations"])

    def until(self, now: Transaction, *wanted: str) -> Transaction:
        """Follow it as a POS does, until it is in one of these states."""
        while now.state not in wanted:
            assert not now.ended, now.data
            now = self.kaqi.next(now, seconds=WAIT_SECONDS)
        return now

    def sale(self, person: str) -> Transaction:
        """A pharmacy's: old card, new card; returns what the operator is asked."""
        now = self.kaqi.start("pharmacy", pos_ref=f"sale-{person}")
        self.hand("insert", 0, {"card": f"{person}.medical"})
        self.hand("insert", 1, {"card": f"{person}.social_security"})
        return self.until(now, "waiting_confirm", "failed")

    def end(self, how: signal.Signals | None = None) -> tuple[int, str, str]:
        """End it; by its input, or by a signal. Returns what it said after its line."""
        if how is not None:
            self.process.send_signal(how)
            wait_until(lambda: self.process.poll() is not None)
        overdue = threading.Timer(WAIT_SECONDS, self.process.kill)
        overdue.start()
        said, complained = self.process.communicate()
        overdue.cancel()
        return self.process.returncode, said, complained


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    made = Kit(tmp_path_factory.mktemp("kit"))
    yield made
    made.end()


@pytest.fixture
def kit(started: Kit) -> Kit:
    """One kit for all, as a vendor's tests would use it."""
    started.kaqi.call("POST", "/v1/simulate/reset", {})
    return started


def test_what_it_says_is_all_that_a_program_needs(kit: Kit) -> None:
    assert set(kit.told) == {"address", "token", "pid", "version"}
    assert kit.told["address"].startswith("http://127.0.0.1:")
    assert kit.told["pid"] == kit.process.pid
    assert kit.told["version"] == __version__
    assert len(kit.readers) == 2
    kit.kaqi.call("GET", "/readyz")


def test_a_pharmacy_activates_a_card(kit: Kit) -> None:
    asked = kit.sale("lin")

    done = kit.until(kit.kaqi.confirm(asked), "succeeded")

    assert (done.outcome, done.data["test_data"]) == ("activated", True)
    assert done.receipt("zh-CN")
    assert kit.activated() == 1


def test_a_refusal_has_its_code_and_the_way_back(kit: Kit) -> None:
    refused = kit.sale("luo")

    assert refused.problem is not None
    assert refused.problem["code"] == "card.lost"
    assert refused.way_back
    assert kit.activated() == 0


def test_a_torn_card_is_put_in_again(kit: Kit) -> None:
    now = kit.kaqi.start("outpatient_registration")
    kit.hand("tear", 0, {"at": 4})

    kit.hand("insert", 0, {"card": "he.social_security"})
    while now.problem is None:
        now = kit.kaqi.next(now)
    torn = now.problem["code"]
    kit.hand("insert", 0, {"card": "he.social_security"})

    assert torn == "card.removed"
    assert kit.until(now, "succeeded").outcome == "activated"


def test_a_silent_centre_leaves_a_doubt_and_one_activation(kit: Kit) -> None:
    kit.centre(IN_DOUBT)
    asked = kit.sale("abu")

    doubtful = kit.until(kit.kaqi.confirm(asked), "in_doubt")
    kit.centre([])

    assert kit.until(doubtful, "succeeded").outcome == "activated"
    assert kit.activated() == 1


@pytest.mark.parametrize("how", [None, signal.SIGTERM])
def test_it_ends_with_all_that_it_has_started(
    tmp_path: Path, how: signal.Signals | None
) -> None:
    kit = Kit(tmp_path)
    centre = child_of(kit.process.pid)
    folders = [each.name for each in tmp_path.iterdir()]

    code, said, complained = kit.end(how)

    assert (code, said, complained) == (0, "", "")
    assert [name.startswith("kaqi-kit-") for name in folders] == [True]
    assert list(tmp_path.iterdir()) == []
    wait_until(lambda: not is_alive(centre))


def test_whoever_is_killed_leaves_no_orphan(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", A_PARENT.format(command=list(COMMAND))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert parent.stdout is not None
    agent = int(json.loads(parent.stdout.readline())["pid"])
    centre = child_of(agent)

    parent.kill()
    parent.communicate()

    try:
        wait_until(lambda: not is_alive(agent) and not is_alive(centre))
    finally:
        with suppress(ProcessLookupError):
            os.kill(agent, signal.SIGKILL)
    assert list(tmp_path.iterdir()) == []


def test_a_real_till_gives_nobody_a_token() -> None:
    done = kaqi("serve", "--json")

    assert (done.returncode, done.stdout) == (2, "")
    assert problem_of(done)["code"] == "command.usage"


def test_what_it_cannot_do_it_says_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "purpose").write_text("till", encoding="utf-8")

    done = kaqi(*COMMAND[3:], "--data", str(tmp_path))

    assert (done.returncode, done.stdout) == (73, "")
    assert problem_of(done)["code"] == "agent.other_purpose"


def child_of(pid: int) -> int:
    """The one process that it has started: its centre."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    (child,) = (int(each) for task in tasks for each in task.read_text().split())
    return child


def is_alive(pid: int) -> bool:
    """Whether it runs; one that nobody has waited for does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
