"""Nothing the agent writes or tells names a person: everything a full scenario leaves
behind is searched, also at debug level and after a kill."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from plugin.client import Transaction
from simulator.people import CAST
from tests.agents import AgentProcess, Pos
from tests.api.test_events import following
from tests.centre import CentreProcess
from tests.leaks import find, find_pins
from tests.regions import settings_for
from tests.scenario.test_restarts import insert, reader_id
from tests.waiting import wait_until

LIN = "999901190102021017"


class Witness:
    """A client without the right to identities, which remembers all that it is told."""

    def __init__(self, pos: Pos) -> None:
        self._pos = pos
        self.told: list[tuple[str, bytes]] = []

    def look(self, *paths: str) -> None:
        """Ask for everything there is."""
        usual = ("/v1/transactions", "/v1/activations", "/v1/readers", "/readyz")
        for path in (*usual, *paths):
            answer = self._pos.request("GET", path)
            self._remember(path, answer.body)
            self._remember(f"{path} headers", answer.headers)

    def provoke(self) -> None:
        """Send a person's number wherever it does not belong."""
        for body in (
            {"kind": "activation", "scenario": "pharmacy", "pos_ref": LIN},
            {"kind": "activation", "scenario": LIN},
            {LIN: "林试一"},
            ["林试一"],
        ):
            answer = self._pos.request("POST", "/v1/transactions", body, key=LIN)
            self._remember("refused", answer.body)
        for path in (f"/v1/transactions/{LIN}", f"/v1/{LIN}", f"/v1/readers?x={LIN}"):
            self._remember("path", self._pos.request("GET", path).body)

    def post(self, path: str, body: object, status: int) -> None:
        """Send this, and remember how it was answered."""
        answer = self._pos.request("POST", path, body, key=f"k-{len(self.told)}")
        assert answer.status == status, answer.body
        self._remember(path.partition("?")[0], answer.body)

    def _remember(self, where: str, what: object) -> None:
        self.told.append((where, json.dumps(what, ensure_ascii=False).encode()))


def remove(pos: Pos) -> None:
    pos.request("POST", f"/v1/simulate/readers/{reader_id(pos)}/remove", {})


def pharmacy(pos: Pos, old: str, new: str, *, key: str) -> Transaction:
    """Both cards through one reader, confirmed, to the end."""
    answer = pos.start("pharmacy", {"readers": [reader_id(pos)]}, key=key)
    now = Transaction(answer.body)
    insert(pos, f"{old}.medical")
    now = pos.until(now, "waiting_removal")
    remove(pos)
    now = pos.until(now, "waiting_card")
    insert(pos, f"{new}.social_security")
    now = pos.until(
        now, lambda at: at.state in ("waiting_confirm", "failed", "succeeded")
    )
    if now.state == "waiting_confirm":
        now = pos.kaqi.confirm(now)
        now = pos.until(now, lambda at: at.ended)
    remove(pos)
    return now


def test_nothing_written_or_told_names_anybody(
    tmp_path: Path, centre: CentreProcess
) -> None:
    words = {"code": "9", "text": "贺试二（999901190203020102X）暂不受理"}
    events: list[str] = []
    with AgentProcess(tmp_path, centre.address, "--debug") as agent:
        pos = agent.pos
        witness = Witness(agent.another("witness", ("read", "activate")))
        with following(pos) as stream:
            listener = threading.Thread(
                target=lambda: events.extend(
                    map(json.dumps, _until_cut(stream.events()))
                )
            )
            listener.start()
            assert pharmacy(pos, "lin", "lin", key="1").outcome == "activated"
            assert pharmacy(pos, "he", "tang", key="2").ended
            assert pharmacy(pos, "luo", "luo", key="3").state == "failed"
            centre.misbehave("refuse", "activations", times=1, words=words)
            assert pharmacy(pos, "he", "he", key="4").state == "failed"
            centre.misbehave("lose_answer", "activations", times=1)
            assert pharmacy(pos, "abu", "abu", key="5").outcome == "activated"
            witness.look()
            witness.provoke()
            centre.misbehave("silence", "activations", seconds=30)
            pos.start("outpatient_registration", key="6")
            insert(pos, "jie.social_security")
            wait_until(lambda: len(centre.effects) == 3)
            agent.kill()
            listener.join()
        centre.behave()
        agent.start()
        witness = Witness(agent.another("witness", ("read", "activate")))
        witness.look()

        agent.stop()
        said = agent.output
    files = [(str(f), f.read_bytes()) for f in tmp_path.rglob("*") if f.is_file()]
    places = [
        *files,
        *witness.told,
        ("events", "\n".join(events).encode()),
        ("output", said.encode()),
    ]

    assert find(places, CAST) == []
    assert len(events) > 50
    assert any("apdu" in content.decode("utf-8", "replace") for _, content in files)
    planted = tmp_path / "logs" / "planted.log"
    planted.write_text("read 林试一", encoding="gbk")
    leaks = find([("planted", planted.read_bytes())], CAST)
    assert [leak.what for leak in leaks] == ["lin name"]


WRONG_PIN, NEW_PIN = "975310864213", "864209753124"


def test_no_pin_is_written_or_told(tmp_path: Path, centre: CentreProcess) -> None:
    digits = "{ min = 6, max = 12 }"
    settings = settings_for(tmp_path, new='"change_initial"', digits=digits)
    data = tmp_path / "data"
    events: list[str] = []
    with AgentProcess(data, centre.address, "--debug", "--settings", settings) as agent:
        pos = agent.pos
        witness = Witness(pos)
        with following(pos) as stream:
            listener = threading.Thread(
                target=lambda: events.extend(
                    map(json.dumps, _until_cut(stream.events()))
                )
            )
            listener.start()
            now = Transaction(pos.start("outpatient_registration", key="1").body)
            insert(pos, "lin.social_security")
            now = pos.until(now, "waiting_pin")
            path = f"/v1/transactions/{now.id}/pin"
            witness.post(path, {"pin": WRONG_PIN + "0"}, 422)
            witness.post(path, {"pin": int(WRONG_PIN)}, 400)
            witness.post(path, {"pin": [NEW_PIN]}, 400)
            witness.post(path, {"pin": WRONG_PIN, "new_pin": NEW_PIN}, 422)
            witness.post(f"{path}?pin={WRONG_PIN}", {"pin": WRONG_PIN}, 400)
            witness.post(path, {"pin": WRONG_PIN}, 202)
            now = pos.until(now, _says("pin.wrong"))
            witness.look(f"/v1/transactions/{now.id}")
            witness.post(path, {"pin": "123456"}, 202)
            now = pos.until(now, lambda at: at.data["step"]["key"].endswith(".new"))
            witness.look(f"/v1/transactions/{now.id}")
            witness.post(path, {"pin": "123456", "new_pin": NEW_PIN}, 202)
            now = pos.until(now, "succeeded")
            witness.look(f"/v1/transactions/{now.id}")
            agent.kill()
            listener.join()
        said = agent.output
    places = [
        *((str(f), f.read_bytes()) for f in data.rglob("*") if f.is_file()),
        *witness.told,
        ("events", "\n".join(events).encode()),
        ("output", said.encode()),
    ]

    assert find_pins(places, [WRONG_PIN, NEW_PIN]) == []
    assert any(b"apdu" in content for _, content in places)
    assert any(
        b"waiting_pin" in content for where, content in places if where == "events"
    )


def _says(code: str) -> Callable[[Transaction], bool]:
    return lambda at: at.problem is not None and at.problem["code"] == code


def _until_cut(events: Iterator[dict[str, object]]) -> Iterator[dict[str, object]]:
    """Every event until the agent dies."""
    try:
        yield from events
    except OSError:
        return
