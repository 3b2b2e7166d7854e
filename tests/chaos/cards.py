"""Cards that outlive the agent they lie in front of: what each was told is in a file, and a
card that is taken up again is told it again."""

from __future__ import annotations

import json
from pathlib import Path

from simulator import people
from simulator.reader import InProcessDesk
from simulator.scenario import Card
from tests.chaos.labels import Way

VERIFY, CHANGE = 0x20, 0x5E
_VERBS = {VERIFY: "card.verify", CHANGE: "card.change"}
OK = b"\x90\x00"


class LastingCard:
    """A card of the cast, and its file: a line for each command and its answer."""

    def __init__(self, name: str, folder: Path, way: Way) -> None:
        self._real: Card = people.card(name)
        self.atr = self._real.atr
        self._way = way
        self._file = folder / f"{name}.txt"
        for command, _ in told(self._file):
            self._real.process(command) if command else self._real.reset()

    def reset(self) -> bytes:
        """Forget who was right."""
        self._write(b"", b"")
        return self._real.reset()

    def process(self, command: bytes) -> bytes:
        """One command, which the card has done before anybody hears of it."""
        with self._way.through(_VERBS.get(command[1], "card.read")):
            answer = self._real.process(command)
            self._write(command, answer)
        return answer

    def _write(self, command: bytes, answer: bytes) -> None:
        with self._file.open("a", encoding="ascii") as file:
            file.write(f"{command.hex()} {answer.hex()}\n")


def told(file: Path) -> list[tuple[bytes, bytes]]:
    """What a card was told and has answered; a reset is an empty command."""
    lines = file.read_text(encoding="ascii").splitlines() if file.exists() else []
    pairs = (line.partition(" ") for line in lines)
    return [(bytes.fromhex(said), bytes.fromhex(answer)) for said, _, answer in pairs]


def count(file: Path, instruction: int, answer: bytes | None = None) -> int:
    """How often a card was told this, and answered so."""
    return sum(
        said[1:2] == bytes((instruction,)) and answer in (None, answered)
        for said, answered in told(file)
    )


class LastingDesk(InProcessDesk):
    """Readers in which cards lie as they lay when the last agent ended."""

    def __init__(self, folder: Path, way: Way) -> None:
        super().__init__()
        self._folder, self._way = folder, way
        folder.mkdir(exist_ok=True)
        self._layout = folder / "counter.json"
        lying = json.loads(self._layout.read_text()) if self._layout.exists() else {}
        for reader, card in lying.items():
            self.insert(card, reader)

    def insert(self, card: str, reader: str) -> None:
        """Put a card of the cast in."""
        with self._changed:
            self._put(LastingCard(card, self._folder, self._way), card, reader)
            self._note()

    def remove(self, reader: str) -> None:
        """Take the card out."""
        super().remove(reader)
        self._note()

    def _note(self) -> None:
        lying = {
            name: slot.name for name, slot in self._slots.items() if slot.name != ""
        }
        self._layout.write_text(json.dumps(lying))
