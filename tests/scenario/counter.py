"""The counter as a clerk works it: cards in and out of readers, and what the screen says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from plugin.client import Transaction
from simulator.people import card as of_the_cast
from simulator.reader import InProcessDesk
from simulator.scenario import Card
from tests.agents import Running
from tests.waiting import wait_until


class Hand(Protocol):
    """What moves cards."""

    def readers(self) -> tuple[str, ...]: ...

    def insert_card(self, card: Card, reader: str) -> None: ...

    def remove(self, reader: str) -> None: ...


class Counter:
    """One transaction after the other on the first `readers` readers, or on these."""

    def __init__(
        self,
        running: Running,
        hand: Hand,
        readers: int = 2,
        names: tuple[str, ...] = (),
        module: InProcessDesk | None = None,
    ) -> None:
        self.running = running
        self.module = module or InProcessDesk()  # where the PSAM is
        self.pos = running.pos
        self.hand = hand
        self.readers = names or hand.readers()[:readers]
        self.ids = running.reader_ids(self.readers)
        self.seen: list[str] = []
        self.read: dict[
            str, dict[str, str]
        ] = {}  # what the screen said at each of them
        self.now: Transaction

    def start(self, scenario: str, **more: object) -> Transaction:
        """Begin."""
        answer = self.pos.start(scenario, {"readers": self.ids, **more})
        assert answer.status == 202, answer.body
        self.now = Transaction(answer.body)
        self._note()
        return self.now

    def put(self, card: Card | str, reader: int = 0) -> None:
        """Put a card, or somebody's of the cast, into a reader."""
        real = of_the_cast(card) if isinstance(card, str) else card
        self.hand.insert_card(real, self.readers[reader])

    def take(self, reader: int = 0) -> None:
        """Take the card out of a reader."""
        self.hand.remove(self.readers[reader])

    def clear(self) -> None:
        """Take every card out."""
        for reader in range(len(self.readers)):
            self.take(reader)

    def leave(self) -> None:
        """The same, until it has been noticed: the next person finds empty readers."""
        self.clear()
        board = self.running.agent.till.board
        ask = self.running.agent.till.loop.ask

        def empty() -> bool:
            slots = ask(lambda: board.slots(None)).result()
            return all(slot.swiped or not slot.insertion_id for slot in slots)

        wait_until(empty)

    def reaches(self, *wanted: str) -> Transaction:
        """Wait for one of these states, or state.role, on the way noting all."""

        def there(transaction: Transaction) -> bool:
            self.now = transaction
            self._note()
            return (
                transaction.state in wanted or transaction.data["step"]["key"] in wanted
            )

        self.now = self.pos.until(self.now, there)
        return self.now

    def moves(self) -> Transaction:
        """Wait for the next change, whatever it is."""
        before = self.now.data["seq"]
        changed = self.pos.until(self.now, lambda each: each.data["seq"] != before)
        return self.takes(changed)

    def takes(self, snapshot: Transaction) -> Transaction:
        """This is how it stands now."""
        self.now = snapshot
        self._note()
        return snapshot

    def says(self, code: str) -> Transaction:
        """Wait until the screen shows this problem."""

        def shown(transaction: Transaction) -> bool:
            self.now = transaction
            self._note()
            return (
                transaction.problem is not None and transaction.problem["code"] == code
            )

        self.now = self.pos.until(self.now, shown)
        return self.now

    def confirm(self) -> Transaction:
        """The operator says yes."""
        self.now = self.pos.kaqi.confirm(self.now)
        return self.now

    @property
    def code(self) -> str | None:
        """The problem shown now."""
        problem = self.now.problem
        return str(problem["code"]) if problem else None

    def _note(self) -> None:
        step = self.now.data["step"]
        key = str(step["key"])
        self.read[key] = step["text"]
        if self.seen[-1:] != [key]:
            self.seen.append(key)


def two_cards(
    counter: Counter, old: str = "lin", new: str | None = None
) -> Transaction:
    """A pharmacy's two cards, up to the moment somebody decides or it ends."""
    counter.start("pharmacy")
    counter.put(f"{old}.medical", 0)
    counter.reaches("waiting_card.social_security")
    counter.put(f"{new or old}.social_security", 1)
    return counter.reaches("waiting_confirm", "failed", "succeeded")


def new_card(counter: Counter, person: str = "lin") -> Transaction:
    """A registration's one card, to its end."""
    counter.start("outpatient_registration")
    counter.put(f"{person}.social_security", 0)
    return counter.reaches("succeeded", "failed", "in_doubt")


class Tripwire:
    """A card that sets something off at its n-th command."""

    def __init__(self, real: Card, at: int, off: Callable[[], None]) -> None:
        self.atr, self.reset = real.atr, real.reset
        self._real, self._left, self._off = real, at, off

    def process(self, command: bytes) -> bytes:
        self._left -= 1
        if not self._left:
            self._off()
        return self._real.process(command)
