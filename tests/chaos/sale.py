"""A sale as a POS and the people around it carry it through, whatever happens to the agent:
the same key again after every silence, the same cards, and a PIN only where one is asked."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from msgspec import Struct

from plugin.client import Transaction
from tests.agents import Answer, Pos
from tests.centre import CentreProcess
from tests.chaos.agent import FORKS, as_a_child
from tests.chaos.cards import CHANGE, OK, VERIFY, count
from tests.waiting import WAIT_SECONDS, wait_until

INITIAL, NEW = "123456", "246813"
READERS = {
    "medical": "Simulated reader 1",
    "social_security": "Simulated reader 2",
}
BEGIN_AGAIN = ("agent.restarted", "agent.restarted_at_card", "card.must_return")
VISITS_MAX = 4
NOBODY = (
    OSError,
    http.client.HTTPException,
)  # what a POS hears of an agent that is gone


class End(Struct, frozen=True, kw_only=True):
    """How it ended, for everybody concerned."""

    state: str
    outcome: str | None
    problem: str | None
    records: tuple[str, ...]
    effects: int
    changes: int


class World(Struct, frozen=True, kw_only=True):
    """Where somebody sells what to whom. `faults` are what the centre is ordered to do
    wrong: fault, operation, and how often (None: always)."""

    name: str
    region: str = "reference"
    kind: str = "hospital"
    scenario: str = "outpatient_registration"
    person: str = "lin"
    faults: tuple[tuple[str, str, int | None], ...] = ()
    ends: End


@dataclass
class Agent:
    """The agent of a folder, which dies where the next of `crashes` says. Use as a context
    manager."""

    folder: Path
    centre: CentreProcess
    world: World
    crashes: list[str] = field(default_factory=list)
    deaths: int = 0
    process: Any = None
    pos: Pos = field(init=False)

    def __enter__(self) -> Self:
        self.folder.mkdir(exist_ok=True)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it; one that dies before it answers is started again."""
        while True:
            ours, theirs = FORKS.Pipe(duplex=False)
            crash_at = self.crashes.pop(0) if self.crashes else None
            said = (self.folder, self.centre.address, self.world.region)
            self.process = FORKS.Process(
                target=as_a_child,
                args=(theirs, *said, self.world.kind, crash_at),
                daemon=True,
            )
            self.process.start()
            theirs.close()
            try:
                self.pos = Pos(*ours.recv())
                return
            except EOFError:
                self.died()
            finally:
                ours.close()

    def died(self) -> None:
        """It must have: by its own hand."""
        self.process.join(WAIT_SECONDS)
        assert self.process.exitcode == -signal.SIGKILL, self.process.exitcode
        self.deaths += 1

    def revive(self) -> None:
        """The watchdog's part."""
        self.died()
        self.start()

    def kill(self) -> None:
        """SIGKILL."""
        if self.process.exitcode is None:
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.join(WAIT_SECONDS)

    def go_on_after(self, seconds: float) -> None:
        """Once it has stopped itself: leave it so for a while."""
        status = Path(f"/proc/{self.process.pid}/stat")
        wait_until(lambda: status.read_text().rpartition(")")[2].split()[0] == "T")
        threading.Event().wait(seconds)
        os.kill(self.process.pid, signal.SIGCONT)

    def passed(self) -> Counter[str]:
        """How often each label was passed, in all its lives."""
        return Counter((self.folder / "trace.txt").read_text().split())


class Sale:
    """One sale, from the key to the end."""

    def __init__(
        self, agent: Agent, seen: Callable[[Transaction], None] = lambda _: None
    ) -> None:
        self._seen = seen  # hears of every snapshot
        self.agent, self.person = agent, agent.world.person
        self.typed: Counter[str] = Counter()
        self.begun: list[str] = []
        self._key = ""

    def run(self) -> End:
        """Carry it through, and look at what is left."""
        ended = self.sold()
        while self.agent.crashes or not self._is_quiet():
            self.agent.revive()
            ended = self.sold()
        return self.end(ended)

    def _is_quiet(self) -> bool:
        """Whether the agent lives on after all that it had to do."""
        try:
            return self.agent.pos.request("GET", "/v1/activations").status == 200
        except NOBODY:
            return False

    def sold(self, key: str = "sale") -> Transaction:
        """Until it has ended, or nobody here can do more; a visit that a restart has ended
        is begun again."""
        for visit in range(VISITS_MAX):
            self._key = f"{key}-{visit}"
            now = self._follow(self._begin(self._key))
            problem = now.problem["code"] if now.problem else None
            if problem not in BEGIN_AGAIN:
                return now
            self.take()
        raise AssertionError("the holder has left")

    def end(self, now: Transaction) -> End:
        """What POS, journal, centre and card say."""
        listed = self.again("GET", "/v1/activations").body["activations"]
        states = [each["state"] for each in listed]
        kept = [each for each in states if each != "ABANDONED"] or states[-1:]
        return End(
            state=now.state,
            outcome=now.outcome,
            problem=now.problem["code"] if now.problem else None,
            records=tuple(kept),
            effects=len(self.agent.centre.effects),
            changes=count(self.card, CHANGE, OK),
        )

    @property
    def card(self) -> Path:
        """The new card's file."""
        return self.agent.folder / "cards" / f"{self.person}.social_security.txt"

    def spent_what_was_typed(self) -> bool:
        """Whether no card was given a PIN that nobody typed for it."""
        return (
            count(self.card, VERIFY) <= self.typed["verify"]
            and count(self.card, CHANGE) <= self.typed["new"]
        )

    def begun_with_the_last_key(self) -> Transaction:
        """What the POS is told when it asks once more."""
        return self._begin(self._key)

    # Requests

    def again(
        self, method: str, path: str, body: object = None, key: str | None = None
    ) -> Answer:
        """Ask until somebody answers; with the same key nothing happens twice."""
        while True:
            try:
                return self.agent.pos.request(method, path, body, key=key)
            except NOBODY:
                self.agent.revive()

    def _begin(self, key: str) -> Transaction:
        body = {"kind": "activation", "scenario": self.agent.world.scenario}
        body["pos_ref"] = key
        answer = self.again("POST", "/v1/transactions", body, key)
        assert answer.status in (200, 202), answer.body
        now = Transaction(answer.body)
        if now.id not in self.begun:
            self.begun.append(now.id)
        return now

    def _follow(self, now: Transaction) -> Transaction:
        """Do what each step asks for, until it is over or nobody here can do more."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not now.ended and not self._must_wait(now):
            assert time.monotonic() < deadline, now.data["step"]
            self._seen(now)
            self._do(now)
            now = self._next(now)
        return now

    def _must_wait(self, now: Transaction) -> bool:
        """Whether only the card, or somebody at the centre, can say more."""
        if now.state != "in_doubt":
            return False
        if now.problem and now.problem["code"] == "card.must_return":
            return True
        listed = self.again("GET", "/v1/activations").body["activations"]
        return any(
            each["state"] == "MANUAL" and each["transaction"] == now.id
            for each in listed
        )

    def _next(self, now: Transaction) -> Transaction:
        seq = now.data["seq"]
        path = f"/v1/transactions/{now.id}"
        if now.state in ("in_doubt", "committing", "checking", "reading"):
            path += f"?wait=0.3&after_seq={seq}"
        return Transaction(self.again("GET", path).body)

    # People

    def _do(self, now: Transaction) -> None:
        steps: dict[str, Callable[[Transaction], None]] = {
            "waiting_card": self._put,
            "waiting_removal": lambda _: self.take(),
            "waiting_confirm": lambda now: self._act(now, "confirm", {}),
            "waiting_pin": self._type,
            "waiting_registration": self._register,
        }
        if now.state in steps:
            steps[now.state](now)

    def _act(self, now: Transaction, action: str, body: object) -> None:
        path = f"/v1/transactions/{now.id}/{action}"
        self.again("POST", path, body, f"{now.id}-{action}-{now.data['seq']}")

    def _type(self, now: Transaction) -> None:
        wanted = now.pin_wanted
        if wanted is None:  # a card is being asked
            return
        code = now.problem["code"] if now.problem else None
        seq = now.data["seq"]
        if wanted["entry"] == "new":
            said = {"pin": INITIAL, "new_pin": NEW, "seq": seq}
        else:
            said = {"pin": NEW if code == "pin.change_unknown" else INITIAL, "seq": seq}
        self.typed[wanted["entry"]] += 1
        self._act(now, "pin", said)

    def _register(self, now: Transaction) -> None:
        self.agent.centre.set_standing(self.person, "active")  # HIS does
        self._act(now, "continue", {})

    def _put(self, now: Transaction) -> None:
        role = now.data["step"]["key"].rpartition(".")[2]
        where = self._reader(READERS.get(role, READERS["social_security"]))
        card = {"card": f"{self.person}.{role}"}
        self.again("POST", f"{where}/insert", card)  # refused where it lies there
        seq, path = now.data["seq"], f"/v1/transactions/{now.id}"
        self.again("GET", f"{path}?wait=1&after_seq={seq}")

    def take(self) -> None:
        """All cards out."""
        for name in READERS.values():
            self.again("POST", f"{self._reader(name)}/remove", {})

    def _reader(self, name: str) -> str:
        found: list[str] = []

        def there() -> bool:
            readers = self.again("GET", "/v1/readers").body["readers"]
            found[:] = [str(each["id"]) for each in readers if each["name"] == name]
            return bool(found)

        wait_until(there)
        return f"/v1/simulate/readers/{found[0]}"
