"""Nothing the agent writes or tells names a person: everything that full scenarios and their
faults leave behind is searched, also at debug level, after a kill, and through the journal's
end. What a process keeps in memory is not: of a PIN no Python program can promise that."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from plugin.activation.region import NewPin
from plugin.card.pin import Digits
from plugin.client import Transaction
from plugin.profile_file import load_profile
from simulator.card.engine import CardEngine
from simulator.people import CAST, PEOPLE
from simulator.reader import InProcessDesk
from tests.agents import AgentProcess, Pos, Running, running
from tests.api.test_events import following
from tests.centre import CentreProcess
from tests.command.test_read import kaqi
from tests.contract.liar import Liar, http
from tests.leaks import files_in, find, find_pins
from tests.regions import settings_for
from tests.scenario.counter import Counter, new_card
from tests.scenario.regions import counter_in
from tests.scenario.test_causes import FAULTS, Scene
from tests.scenario.test_restarts import insert, reader_id
from tests.scenario.test_retention import Story, story
from tests.waiting import wait_until

__all__ = ["story"]

LIN, NAME = "999901190102021017", "林试一"
CARD = PEOPLE["lin"].social_security.card_number
HE = "贺试二（999901190203020102X）暂不受理"
TRACE_PARENT = f"00-{LIN}{'a' * 14}-{'b' * 16}-01"
EVERYTHING = (
    "/v1/transactions",
    "/v1/activations",
    "/v1/readers",
    "/readyz",
    "/v1/errors",
    "/v1/clients",
    "/v1/agent",
    "/v1/diagnostics",
    "/v1/diagnostics/bundle",
    "/metrics",
)
Place = tuple[str, bytes]


class Witness:
    """A client without the right to identities, which remembers all that it is told."""

    def __init__(self, pos: Pos) -> None:
        self._pos = pos
        self.told: list[Place] = []

    def look(self, *paths: str) -> None:
        """Ask for everything there is."""
        for path in (*EVERYTHING, *paths):
            answer = self._pos.request("GET", path)
            # not ready is an answer too, and the clients are for administrators
            assert answer.status in (200, 503) or path == "/v1/clients", path
            self._remember(path, answer.body)
            self._remember(f"{path} headers", answer.headers)

    def provoke(self) -> None:
        """Send a person's number and name wherever they do not belong."""
        for body in (
            {"kind": "activation", "scenario": "pharmacy", "pos_ref": LIN},
            {"kind": "activation", "scenario": LIN},
            {LIN: NAME},
            [NAME],
        ):
            answer = self._pos.request("POST", "/v1/transactions", body, key=LIN)
            self._remember("refused", answer.body)
        for value in (LIN, CARD):
            for path in ("/v1/transactions/", "/v1/", "/v1/readers?x="):
                answer = self._pos.request("GET", path + value)
                self._remember("path", answer.body)
        self._remember("method", self._pos.request(LIN, "/v1/readers").body)
        for name in ("traceparent", "origin", "prefer", "last-event-id", "x-name"):
            said = {name: TRACE_PARENT if name == "traceparent" else LIN}
            answer = self._pos.request("GET", "/v1/readers", headers=said)
            self._remember(f"after {name}", [answer.headers, answer.body])

    def post(self, path: str, body: object, status: int) -> None:
        """Send this, and remember how it was answered."""
        answer = self._pos.request("POST", path, body, key=f"k-{len(self.told)}")
        assert answer.status == status, answer.body
        self._remember(path.partition("?")[0], answer.body)

    def _remember(self, where: str, what: object) -> None:
        if not isinstance(what, bytes):
            what = json.dumps(what, ensure_ascii=False).encode()
        self.told.append((where, what))


WITHOUT_IDENTITY = ("read", "activate", "operate")


def witness_of(agent: Running | AgentProcess) -> Witness:
    """A new one."""
    if isinstance(agent, AgentProcess):
        return Witness(agent.another("witness", WITHOUT_IDENTITY))
    return Witness(Pos(agent.port, agent.folder.pair("witness", WITHOUT_IDENTITY)))


class Listening:
    """Every event, until the agent ends."""

    def __init__(self, pos: Pos) -> None:
        self._pos = pos
        self._events: list[str] = []

    @contextmanager
    def until_the_end(self) -> Iterator[Callable[[], None]]:
        """Gives what waits for the end of the agent."""
        with following(self._pos) as stream:
            told = map(json.dumps, _until_cut(stream.events()))
            listener = threading.Thread(target=lambda: self._events.extend(told))
            listener.start()
            yield listener.join

    @property
    def place(self) -> Place:
        """What came."""
        return "events", "\n".join(self._events).encode()

    def __len__(self) -> int:
        return len(self._events)


def command_lines(folder: Path) -> list[Place]:
    """Those of every process that knows this folder."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            line = (each / "cmdline").read_bytes()
        except OSError:  # it has just ended
            continue
        if str(folder).encode() in line:
            found.append((f"command line {each.name}", line))
    return found


def dropped(folder: Path) -> list[str]:
    """The lines of logs whose call gave a field that is not allowed."""
    files = (folder / "logs").glob("*.log*")
    lines = [each for f in files for each in f.read_text("utf-8").splitlines()]
    return [line for line in lines if "dropped" in json.loads(line)]


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


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporary files lie among those that are searched."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))


def test_nothing_written_or_told_names_anybody(
    tmp_path: Path, centre: CentreProcess
) -> None:
    words = {"code": "9", "text": HE}
    data = tmp_path / "data"
    with AgentProcess(data, centre.address, "--debug") as agent:
        pos = agent.pos
        witness = witness_of(agent)
        listening = Listening(pos)
        with listening.until_the_end() as ended:
            assert pharmacy(pos, "lin", "lin", key="1").outcome == "activated"
            assert pharmacy(pos, "he", "tang", key="2").ended
            assert pharmacy(pos, "luo", "luo", key="3").state == "failed"
            centre.misbehave("refuse", "activations", times=1, words=words)
            assert pharmacy(pos, "he", "he", key="4").state == "failed"
            centre.misbehave("lose_answer", "activations", times=1)
            assert pharmacy(pos, "abu", "abu", key="5").outcome == "activated"
            witness.look()
            witness.provoke()
            lines = command_lines(tmp_path)
            limits = Path(f"/proc/{lines[0][0].split()[-1]}/limits").read_text("ascii")
            centre.misbehave("silence", "activations", seconds=30)
            pos.start("outpatient_registration", key="6")
            insert(pos, "jie.social_security")
            wait_until(lambda: len(centre.effects) == 3)
            agent.kill()
            ended()
        centre.behave()
        agent.start()
        again = witness_of(agent)
        again.look()
        agent.stop()
        damage(data)
        agent.start()
        safe = witness_of(agent)
        safe.look()
        safe_mode = safe.told[EVERYTHING.index("/v1/activations") * 2][1]
        agent.stop()
        restored = kaqi(
            "restore", "--data", str(data), "--simulate", "--yes", "--empty"
        )
        said = agent.output + restored.stdout + restored.stderr
        read = kaqi("log", "--data", str(data), "--simulate", "--lines", "0")
    places = [
        *files_in(tmp_path),
        *(each for told in (witness, again, safe) for each in told.told),
        *lines,
        listening.place,
        ("output", said.encode()),
        ("kaqi log", read.stdout.encode()),
    ]

    assert find(places, CAST) == []
    assert dropped(data) == []
    assert len(listening) > 50
    assert len(lines) == 1
    assert re.search(r"Max core file size +0 +0 ", limits)
    assert len(read.stdout.splitlines()) > 100
    assert b"agent.safe_mode" in safe_mode
    assert restored.returncode == 0
    assert any("apdu" in content.decode("utf-8", "replace") for _, content in places)
    planted = data / "logs" / "planted.log"
    planted.write_text("read 林试一", encoding="gbk")
    leaks = find([("planted", planted.read_bytes())], CAST)
    assert [leak.what for leak in leaks] == ["lin name"]


def damage(data: Path) -> None:
    """Nobody can read the journal any more."""
    journal = data / "journal.db"
    content = journal.read_bytes()
    journal.write_bytes(b"\0" * 200 + content[200:])


OF_ONE_READER = (
    "mute, or upside down",
    "a foreign chip",
    "torn off",
    "reset by another program",
    "an application that is locked",
    "endless 61xx",
    "data that make no sense",
    "not genuine",
    "HSM nonsense",
    "HSM with another key",
    "unplugged while a card is read",
)
BETWEEN_US = (
    ("nonsense", "card-status"),
    ("truncate", "card-status"),
    ("oversized", "card-status"),
    ("wrong_echo", "card-status"),
    ("error_after_effect", "activations"),
)


def test_no_fault_of_a_card_or_a_centre_names_anybody(
    tmp_path: Path, centre: CentreProcess
) -> None:
    hand = InProcessDesk()
    with running(tmp_path, centre.address, {"inprocess": hand}, hand) as agent:
        agent.reader_ids(hand.readers())
        listening = Listening(agent.pos)
        with listening.until_the_end() as ended:
            counter = Counter(agent, hand)
            for fault, operation in BETWEEN_US:
                centre.misbehave(fault, operation, times=1)
                new_card(counter, "he" if operation == "activations" else "lin")
                counter.clear()
                centre.behave()
            for name in OF_ONE_READER:
                inject, code = FAULTS[name]
                inject(Scene(counter, hand, centre))
                counter.says(code)
                if not counter.now.ended:
                    counter.pos.kaqi.cancel(counter.now)
                centre.behave()
                if counter.readers[0] in hand.readers():
                    counter.clear()
            witness = witness_of(agent)
            witness.look()
            agent.agent.stopping()
            ended()
    places = [*files_in(tmp_path), *witness.told, listening.place]

    assert find(places, CAST) == []
    assert dropped(tmp_path) == []
    log = (tmp_path / "logs" / "kaqi.log").read_text("utf-8")
    codes = {json.loads(line).get("code") for line in log.splitlines()}
    assert {FAULTS[name][1] for name in OF_ONE_READER} <= codes
    assert "centre.answer_invalid" in codes


LOGIN_PAGE = f"<html>{NAME} {LIN}</html>".encode()
ABOUT_SOMEBODY = dict.fromkeys(("message_id", "institution", "standing", "today"), LIN)
LIES = [
    http(LOGIN_PAGE, "500 Internal Server Error", f"X-Holder: {LIN}\r\n"),
    http(LOGIN_PAGE, "302 Found", f"Location: http://127.0.0.1/{LIN}\r\n"),
    http(json.dumps(ABOUT_SOMEBODY | {"name": NAME}).encode()),
    http(f'{{"{LIN}": '.encode()),
]


@pytest.mark.parametrize("lie", LIES, ids=["500", "302", "JSON", "half"])
def test_what_a_broken_centre_says_stays_unsaid(tmp_path: Path, lie: bytes) -> None:
    hand = InProcessDesk()
    with (
        Liar(lie) as liar,
        running(tmp_path, liar.address, {"inprocess": hand}, hand) as agent,
    ):
        counter = Counter(agent, hand)
        new_card(counter)
        witness = witness_of(agent)
        witness.look()

    assert find([*files_in(tmp_path), *witness.told], CAST) == []
    log = (tmp_path / "logs" / "kaqi.log").read_text("utf-8")
    assert '"centre.answer_invalid"' in log


def test_neither_an_envelopes_words_nor_a_settlement_name_anybody(
    tmp_path: Path, centre: CentreProcess
) -> None:
    with counter_in("v3-old-pin", tmp_path, centre) as counter:
        witness = witness_of(counter.running)
        words = {"code": "9", "text": HE}
        centre.misbehave("refuse", "", times=1, words=words)
        asks(counter, "he")
        counter.reaches("failed")
        counter.take()
        centre.misbehave("lose_answer", "", times=1)
        asks(counter, "lin")
        counter.reaches("in_doubt")
        counter.says("activation.needs_a_person")
        path = f"/v1/activations/{counter.now.data['result']['activation']}/settle"
        said = {"verdict": "active", "operator_ref": "17", "reason": "telephone"}
        witness.post(path, said | {"reason": f"{NAME} {LIN}"}, 400)
        witness.post(path, said | {"operator_ref": LIN}, 400)
        witness.post(path, said, 200)
        counter.reaches("succeeded")
        witness.look()

    assert find([*files_in(tmp_path), *witness.told], CAST) == []
    assert dropped(tmp_path) == []


def asks(counter: Counter, person: str) -> None:
    """A registration with the PIN of the old way."""
    counter.start("outpatient_registration")
    counter.put(f"{person}.social_security")
    counter.reaches("waiting_pin")
    counter.now = counter.pos.kaqi.pin(counter.now, "123456")


def test_nobody_is_named_while_what_is_kept_is_looked_through(
    story: Story, centre: CentreProcess
) -> None:
    story.sale("lin", "sale-1")
    centre.misbehave("refuse", "activations", times=1, words={"code": "9", "text": HE})
    story.sale("he", "sale-2")
    story.days_pass(32)
    story.is_reviewed()

    assert find(files_in(story.files), CAST) == []
    log = (story.files / "logs" / "kaqi.log").read_text("utf-8")
    reviews = [json.loads(line) for line in log.splitlines() if '"reviewed"' in line]
    assert sum(each["forgotten"] for each in reviews) == 2


WRONG_PIN, NEW_PIN = "975310864213", "864209753124"


def test_no_pin_is_written_or_told(tmp_path: Path, centre: CentreProcess) -> None:
    digits = "{ min = 6, max = 12 }"
    settings = settings_for(tmp_path, new='"change_initial"', digits=digits)
    data = tmp_path / "data"
    with AgentProcess(data, centre.address, "--debug", "--settings", settings) as agent:
        pos = agent.pos
        witness = Witness(pos)
        listening = Listening(pos)
        with listening.until_the_end() as ended:
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
            lines = command_lines(tmp_path)
            agent.kill()
            ended()
        said = agent.output
    places = [
        *files_in(tmp_path),
        *witness.told,
        *lines,
        listening.place,
        ("output", said.encode()),
    ]

    assert find_pins(places, [WRONG_PIN, NEW_PIN]) == []
    assert any(b"apdu" in content for _, content in places)
    assert any(
        b"waiting_pin" in content for where, content in places if where == "events"
    )


def test_a_pin_that_blocks_its_card_is_not_told_either(
    tmp_path: Path, centre: CentreProcess
) -> None:
    long = Digits(minimum=6, maximum=12)
    profile = load_profile("reference")
    policy = structs.replace(profile.pin, new=NewPin.CHANGE_INITIAL, digits=long)
    card = replace(PEOPLE["lin"].social_security, tries_spent=5)
    hand = InProcessDesk()
    with running(
        tmp_path,
        centre.address,
        {"inprocess": hand},
        hand,
        profile=structs.replace(profile, pin=policy),
    ) as agent:
        counter, witness = Counter(agent, hand), witness_of(agent)
        counter.start("outpatient_registration")
        counter.put(CardEngine(card.image()))
        path = f"/v1/transactions/{counter.reaches('waiting_pin').id}/pin"
        witness.post(path, {"pin": WRONG_PIN, "confirm_last_try": True}, 202)
        counter.says("pin.locked")
        witness.look(f"/v1/transactions/{counter.now.id}")

    assert find_pins([*files_in(tmp_path), *witness.told], [WRONG_PIN]) == []
    assert dropped(tmp_path) == []


def _says(code: str) -> Callable[[Transaction], bool]:
    return lambda at: at.problem is not None and at.problem["code"] == code


def _until_cut(events: Iterator[dict[str, object]]) -> Iterator[dict[str, object]]:
    """Every event until the agent dies."""
    try:
        yield from events
    except OSError:
        return
