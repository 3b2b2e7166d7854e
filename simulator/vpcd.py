"""The simulated cards behind the real resource manager.

vsmartcard's vpcd driver makes pcscd see readers whose cards are TCP peers; this is such a
peer. Messages are a two-byte length and a payload; payloads of one byte are commands to the
power supply. Connecting inserts the card, closing takes it out; pcscd notices both within
its own status poll of 400 ms.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from simulator import people
from simulator.scenario import Card, CardPulledError

POWER_OFF, POWER_ON, RESET, ATR_WANTED = 0x00, 0x01, 0x02, 0x04
VPCD_LIBRARY = "libifdvpcd.so"
DRIVER_FOLDERS = (
    Path("/usr/lib/pcsc/drivers/serial"),
    Path("/usr/local/lib/pcsc/drivers/serial"),
)
SYSTEM_PORTS = (35963, 35964)  # where the driver listens as Debian ships it
READER_NAMES = ("Virtual PCD 00 00", "Virtual PCD 00 01")
SOCKET_VARIABLE = "PCSCLITE_CSOCK_NAME"  # where libpcsclite looks for its service
RUN_FOLDER = Path("/run/pcscd")  # must exist, or pcscd gives up
START_SECONDS = 5.0
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
        self._peer = socket.create_connection(("127.0.0.1", self._port), START_SECONDS)
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


def vpcd_library() -> Path | None:
    """Where the vpcd driver is installed, if it is."""
    found = (folder / VPCD_LIBRARY for folder in DRIVER_FOLDERS)
    return next((path for path in found if path.exists()), None)


def missing_parts() -> tuple[str, ...]:
    """The Debian packages without which no private resource manager can be started."""
    missing = []
    if shutil.which("pcscd", path=_SEARCH_PATH) is None:
        missing.append("pcscd")
    if vpcd_library() is None:
        missing.append("vsmartcard-vpcd")
    return tuple(missing)


_SEARCH_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))


class PrivatePcscd:
    """A resource manager of our own, with two vpcd readers, on a socket of its own.

    It never runs as root: as root it would overwrite, and at its end delete, the system's
    pid file. Use as a context manager, or `start` and `stop`; both may alternate.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="kaqi-pcscd-"))
        self._folder.chmod(0o755)
        self._process: subprocess.Popen[bytes] | None = None
        self.ports = _two_free_ports()
        self.socket_path = self._folder / "pcscd.comm"
        self._write_configuration()

    def __enter__(self) -> PrivatePcscd:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The process, while it runs."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start it and wait until both readers' ports accept cards.

        Raises RuntimeError with the last line it printed when it does not come up.
        """
        if os.geteuid() == 0:
            RUN_FOLDER.mkdir(exist_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with listener:
            self.socket_path.unlink(missing_ok=True)
            listener.bind(str(self.socket_path))
            self.socket_path.chmod(0o666)
            listener.listen(16)
            self._process = _spawn_with_listener(listener, self._folder)
        self._wait_until_ready()

    def stop(self) -> None:
        """End it, as an administrator would."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.socket_path.unlink(missing_ok=True)

    def close(self) -> None:
        """Stop it and remove its folder."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _write_configuration(self) -> None:
        library = vpcd_library()
        if library is None:
            raise RuntimeError("the vpcd driver is not installed")
        channel = f"0x{self.ports[0]:X}"
        configuration = self._folder / "vpcd"
        configuration.write_text(
            'FRIENDLYNAME "Virtual PCD"\n'
            f"DEVICENAME /dev/null:{channel}\n"
            f"LIBPATH {library}\n"
            f"CHANNELID {channel}\n",
            encoding="ascii",
        )

    def _wait_until_ready(self) -> None:
        process = self._process
        assert process is not None  # noqa: S101 - start has just made it
        for port in self.ports:
            if not _listens(port, lambda: process.poll() is None):
                self.stop()
                raise RuntimeError(
                    f"the private pcscd did not start (code {process.returncode})"
                )


class VpcdDesk:
    """A hand over the two vpcd readers of a private resource manager, which starts with
    it. `environment` is what a process needs to see those readers."""

    def __init__(self) -> None:
        self.manager = PrivatePcscd()
        self.manager.start()
        ports = self.manager.ports
        self._slots = dict(zip(READER_NAMES, map(VpcdSlot, ports), strict=True))

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that lead to this resource manager."""
        return {SOCKET_VARIABLE: str(self.manager.socket_path)}

    def cards(self) -> tuple[str, ...]:
        """The cast's cards."""
        return tuple(people.ORDERS)

    def readers(self) -> tuple[str, ...]:
        """The names the resource manager gives them."""
        return READER_NAMES

    def insert(self, card: str, reader: str) -> None:
        """Put a card of the cast in."""
        self.insert_card(people.card(card), reader)

    def insert_card(self, card: Card, reader: str) -> None:
        """Put any card in."""
        self._slots[reader].insert(card)

    def remove(self, reader: str) -> None:
        """Take the card out."""
        self._slots[reader].remove()

    def close(self) -> None:
        """Take all cards out and stop the resource manager."""
        for slot in self._slots.values():
            slot.remove()
        self.manager.close()


_BECOME = 'exec 3<&0 0</dev/null; LISTEN_PID=$$ exec "$0" --foreground --config "$1"'


def _spawn_with_listener(
    listener: socket.socket, folder: Path
) -> subprocess.Popen[bytes]:
    """Start pcscd with `listener` as descriptor 3, as a service manager would: a shell
    takes it from its standard input, writes its pid into LISTEN_PID and becomes pcscd."""
    pcscd = shutil.which("pcscd", path=_SEARCH_PATH)
    if pcscd is None:
        raise RuntimeError("pcscd is not installed")
    as_nobody = os.geteuid() == 0
    dies_with_us = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
    return subprocess.Popen(  # noqa: S603 - our own script, a found pcscd
        [*dies_with_us, "/bin/sh", "-c", _BECOME, pcscd, str(folder)],
        env={"LISTEN_FDS": "1", "PATH": _SEARCH_PATH},
        stdin=listener.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user="nobody" if as_nobody else None,
        group="nogroup" if as_nobody else None,
        extra_groups=[] if as_nobody else None,
    )


def _two_free_ports() -> tuple[int, int]:
    """Two neighbouring ports nobody listens on: the driver takes the second by itself."""
    for _ in range(100):
        with socket.create_server(("0.0.0.0", 0)) as probe:  # noqa: S104 - as vpcd will
            first: int = probe.getsockname()[1]
            try:
                with socket.create_server(("0.0.0.0", first + 1)):  # noqa: S104
                    return first, first + 1
            except OSError:
                continue
    raise RuntimeError("no two neighbouring free ports were found")


def _listens(port: int, alive: Callable[[], bool]) -> bool:
    """Wait until `port` is bound. Connecting would count as inserting a card, so the
    kernel's table is read instead."""
    wanted = f":{port:04X} "
    deadline = threading.Event()
    for _ in range(int(START_SECONDS / 0.005)):
        table = Path("/proc/net/tcp").read_text(encoding="ascii")
        if any(wanted in line and " 0A " in line for line in table.splitlines()):
            return True
        if not alive():
            return False
        deadline.wait(0.005)
    return False
