"""The simulated cards behind the real resource manager.

vsmartcard's vpcd driver makes pcscd see readers whose cards are TCP peers; this is such a
peer. Messages are a two-byte length and a payload; payloads of one byte are commands to the
power supply. Connecting inserts the card, closing takes it out; pcscd notices both within
its own status poll of 400 ms.
"""

from __future__ import annotations

import contextlib
import random
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from simulator.hand import CastHand
from simulator.resource_manager import PrivatePcscd, ReaderDriver, library
from simulator.scenario import Card, CardPulledError

POWER_OFF, POWER_ON, RESET, ATR_WANTED = 0x00, 0x01, 0x02, 0x04
VPCD_LIBRARY = "libifdvpcd.so"
PACKAGES = {VPCD_LIBRARY: "vsmartcard-vpcd"}
READER_NAMES = ("Virtual PCD 00 00", "Virtual PCD 00 01")
PORTS = (20000, 32000)
CONNECT_SECONDS = 5.0
STOP_SECONDS = 5.0


class VpcdSlot:
    """One slot of the vpcd driver, and the card in it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._peer: socket.socket | None = None
        self._thread: threading.Thread | None = None

    @property
    def occupied(self) -> bool:
        """Whether a card is in."""
        return self._thread is not None and self._thread.is_alive()

    def insert(self, card: Card) -> None:
        """Put `card` in. Raises ConnectionError when no driver listens, ValueError when
        the slot is taken."""
        if self.occupied:
            raise ValueError("there is a card in this slot")
        self._peer = socket.create_connection(
            ("127.0.0.1", self._port), CONNECT_SECONDS
        )
        self._peer.settimeout(None)
        self._peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._thread = threading.Thread(
            target=_serve,
            args=(self._peer, card),
            name=f"card-{self._port}",
            daemon=True,
        )
        self._thread.start()

    def remove(self) -> None:
        """Take the card out; nothing happens when there is none."""
        peer, thread = self._peer, self._thread
        self._peer = self._thread = None
        if peer is not None and thread is not None:
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
            thread.join(STOP_SECONDS)


def _serve(peer: socket.socket, card: Card) -> None:
    """Answer the driver until one side closes."""
    with peer, contextlib.suppress(OSError, CardPulledError):
        for payload in _messages(peer):
            answer = _answer(card, payload)
            if answer is not None:
                peer.sendall(len(answer).to_bytes(2, "big") + answer)


def _answer(card: Card, payload: bytes) -> bytes | None:
    if len(payload) != 1:
        return card.process(payload)
    if payload[0] == ATR_WANTED:
        return card.atr
    card.reset()
    return None


def _messages(peer: socket.socket) -> Iterator[bytes]:
    while header := _receive(peer, 2):
        yield _receive(peer, int.from_bytes(header, "big"))


def _receive(peer: socket.socket, length: int) -> bytes:
    """Exactly `length` bytes, or none at the end of the stream.

    The driver writes length and body apart; without an acknowledgement at once its kernel
    waits 40 ms between them, and Linux forgets TCP_QUICKACK after every use.
    """
    received = b""
    while len(received) < length:
        if sys.platform == "linux":
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        chunk = peer.recv(length - len(received))
        if not chunk:
            return b""
        received += chunk
    return received


class VpcdDriver:
    """The vpcd driver of vsmartcard with two readers, on ports nobody else has."""

    name = "vpcd"

    def __init__(self) -> None:
        self.ports = _two_free_ports()

    def configuration(self) -> str:
        """For pcscd. Raises RuntimeError when the driver is not installed."""
        found = library(VPCD_LIBRARY)
        if found is None:
            raise RuntimeError("the vpcd driver is not installed")
        channel = f"0x{self.ports[0]:X}"
        return (
            'FRIENDLYNAME "Virtual PCD"\n'
            f"DEVICENAME /dev/null:{channel}\n"
            f"LIBPATH {found}\n"
            f"CHANNELID {channel}\n"
        )

    def is_ready(self) -> bool:
        """Whether both ports accept cards. Connecting would count as inserting one, so the
        kernel's table is read instead."""
        table = Path("/proc/net/tcp").read_text(encoding="ascii")
        listening = [line for line in table.splitlines() if " 0A " in line]
        return all(
            any(f":{port:04X} " in line for line in listening) for port in self.ports
        )


class VpcdDesk(CastHand):
    """A hand over the two vpcd readers of a private resource manager, which starts with
    it. `environment` is what a process needs to see those readers."""

    def __init__(self, *beside: ReaderDriver) -> None:
        super().__init__()
        driver = VpcdDriver()
        self.manager = PrivatePcscd(driver, *beside)
        self.manager.start()
        slots = map(VpcdSlot, driver.ports)
        self._slots = dict(zip(READER_NAMES, slots, strict=True))

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that lead to this resource manager."""
        return self.manager.environment

    def readers(self) -> tuple[str, ...]:
        """The names the resource manager gives them."""
        return READER_NAMES

    def insert_card(self, card: Card, reader: str) -> None:
        """Put any card in."""
        self._slots[reader].insert(card)

    def remove(self, reader: str) -> None:
        """Take the card out."""
        self.fate(reader).forget()
        self._slots[reader].remove()

    def close(self) -> None:
        """Take all cards out and stop the resource manager."""
        for slot in self._slots.values():
            slot.remove()
        self.manager.close()


def _two_free_ports() -> tuple[int, int]:
    """Two neighbouring ports nobody listens on: the driver takes the second by itself.
    They lie below those that systems give to whoever connects, who could be faster."""
    for _ in range(100):
        first = random.SystemRandom().randrange(*PORTS)
        with contextlib.suppress(OSError), contextlib.ExitStack() as probes:
            for port in (first, first + 1):
                probes.enter_context(socket.create_server(("0.0.0.0", port)))  # noqa: S104 - as vpcd will
            return first, first + 1
    raise RuntimeError("no two neighbouring free ports were found")
