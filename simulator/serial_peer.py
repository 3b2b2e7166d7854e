"""Simulated readers on serial lines: two for chip cards, one for magnetic stripes. Programs
open their pseudo-terminals as they would open ports.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path

from msgspec.structs import replace

from drivers.ports import NotHereError, SimulatedSlot
from drivers.serial_line.settings import PortKind, SerialPort
from simulator.card.stripe import StripeCard
from simulator.ccid_peer import CcidPeer
from simulator.hand import CastHand
from simulator.keypad import Keypad
from simulator.pty_line import PtyLine
from simulator.scenario import Card

READER_NAMES = ("Simulated serial reader 1", "Simulated serial reader 2")
TRACK_NAME = "Simulated track reader"


class TrackPeer:
    """The far end of a track reader's line: sends what passes, and hears nothing."""

    def __init__(self, line: PtyLine) -> None:
        self.line = line
        self._pause = threading.Event()

    def swipe(self, *pieces: bytes, seconds_between: float = 0.0) -> None:
        """Send this, piece by piece."""
        for piece in pieces:
            self.line.write(piece)
            self._pause.wait(seconds_between)

    def close(self) -> None:
        """End the reader."""
        self.line.close()


class SerialDesk(CastHand):
    """A hand over the three readers; `ports` is what a program is told of them. A card with
    a stripe passes the track reader, any other is put into a chip reader."""

    has_plugs = True

    def __init__(self, *, keypads: Iterable[Keypad] = (), paced: bool = False) -> None:
        super().__init__()
        self._folder = Path(tempfile.mkdtemp(prefix="kaqi-lines-"))
        waiting = iter(keypads)
        names = (*READER_NAMES, TRACK_NAME)
        lines = [PtyLine(self._folder / f"tty{each}") for each in range(len(names))]
        self.peers = {
            name: CcidPeer(
                line,
                echoes=name == READER_NAMES[0],
                keypad=next(waiting, None),
                paced=paced,
            )
            for name, line in zip(READER_NAMES, lines, strict=False)
        }
        self.tracks = TrackPeer(lines[-1])
        self.ports = tuple(
            SerialPort(
                kind=PortKind.TRACKS if name == TRACK_NAME else PortKind.CCID,
                port=str(line.link),
                name=name,
                keypad=name in self.peers and self.peers[name].keypad is not None,
            )
            for name, line in zip(names, lines, strict=True)
        )

    def readers(self) -> tuple[str, ...]:
        """Both chip readers and the track reader."""
        return (*self.peers, TRACK_NAME)

    def keypad(self, reader: str) -> Keypad | None:
        """The reader's keypad, if it has one."""
        return None if reader == TRACK_NAME else self.peers[reader].keypad

    def insert(self, card: str, reader: str) -> None:
        """Put a card of the cast in; one that has passed the track reader is gone again."""
        super().insert(card, reader)
        if reader == TRACK_NAME:
            self.fate(reader).forget()

    def slot(self, reader: str) -> SimulatedSlot:
        """What there is at a reader now; nothing happens to a stripe."""
        seen = super().slot(reader)
        if reader != TRACK_NAME:
            return seen
        return replace(seen, mishaps=frozenset(), has_plug=False)

    def insert_card(self, card: Card, reader: str) -> None:
        """Put any card in, or pass it."""
        if reader != TRACK_NAME:
            self.peers[reader].insert(card)
            return
        if not isinstance(card, StripeCard):
            raise NotHereError("this card has no magnetic stripe")
        self.tracks.swipe(card.sent)

    def remove(self, reader: str) -> None:
        """Take the card out."""
        self.fate(reader).forget()
        if reader != TRACK_NAME:
            self.peers[reader].remove()

    def unplug(self, reader: str) -> None:
        """Pull the plug of a chip reader."""
        self.fate(reader).forget()
        self.peers[reader].unplug()

    def plug(self, reader: str) -> None:
        """Plug it in again."""
        self.peers[reader].plug()

    def detach(self, reader: str) -> None:
        """The same, as every hand calls it. The track reader has no plug."""
        if reader == TRACK_NAME:
            raise NotHereError(reader)
        self.unplug(reader)

    def attach(self, reader: str) -> None:
        """The same, as every hand calls it."""
        if reader == TRACK_NAME:
            raise NotHereError(reader)
        self.plug(reader)

    def close(self) -> None:
        """Put everything away."""
        for peer in self.peers.values():
            peer.close()
        self.tracks.close()
        shutil.rmtree(self._folder, ignore_errors=True)
