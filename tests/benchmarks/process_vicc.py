"""The peer: vicc, the card emulator of the vsmartcard project, as Debian packages it.

`process_vicc` alone calls its engine in process: `calls N`, see `answering`.
`process_vicc PORT` puts its card behind a vpcd port, says "in", and ends by signal.

It carries the files of our own card, so both answer the same command with the same bytes.
Three things keep it from running as shipped; they are mended here, in memory:

- its modules lie outside Python's search path;
- it imports pycryptodome, which its package does not depend on and these commands never use;
- without TCP_QUICKACK every exchange waits 40 ms (see `simulator.vpcd`).
"""

from __future__ import annotations

import importlib
import logging
import socket
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from simulator import people
from tests.benchmarks.answering import answer, repeated
from tests.benchmarks.figures import PartMissingError
from tests.benchmarks.process_card import CARD
from tests.benchmarks.process_engine import READ_NUMBER

PYTHON_FOLDER = Path("/usr/lib/python3")
PACKAGE = "virtualsmartcard"
CRYPTO = {
    "Crypto": (),
    "Crypto.Cipher": ("AES", "ARC4", "DES", "DES3"),
    "Crypto.Hash": ("HMAC", "SHA"),
}
QUIET_SELECTIONS = (  # P2 = 0C: it dies when it has to make an FCI
    bytes.fromhex("00A4040C0F7378312E73682EC9E7BBE1B1A3D5CF"),
    bytes.fromhex("00A4020C02EF06"),
)
VARIABLE_SIMPLE_TLV = 0x05  # file descriptor byte (ISO 7816-4, 7.4.5)


class QuickSocket(socket.socket):
    """Acknowledges at once. Linux forgets the option, so it is set before every read."""

    def recv(self, size: int, flags: int = 0) -> bytes:
        """As the socket does it."""
        self.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return super().recv(size, flags)


def search_path() -> Path:
    """The folder Python must search for vicc. Raises PartMissingError."""
    for found in PYTHON_FOLDER.glob(f"*-packages/**/{PACKAGE}/VirtualSmartcard.py"):
        return found.parent.parent
    raise PartMissingError("vsmartcard-vpicc is not installed")


def main(port: int | None) -> None:
    """Make the card and do what the arguments say."""
    _make_importable()
    operating_system = _card()
    if port is None:
        for command in QUIET_SELECTIONS:
            operating_system.execute(command)
        answer({"calls": repeated(operating_system.execute, READ_NUMBER)})
    else:
        _serve(operating_system, port)


def _make_importable() -> None:
    sys.dont_write_bytecode = True  # the folder is not ours
    sys.path.append(str(search_path()))
    for name, members in CRYPTO.items():
        module = ModuleType(name)
        for member in members:
            setattr(module, member, None)
        sys.modules[name] = module
    logging.basicConfig(level=logging.CRITICAL)  # as vicc without --verbose


def _card() -> Any:  # noqa: ANN401 - vicc has no types
    """vicc's card of type iso7816 with our application."""
    generator: Any = importlib.import_module(f"{PACKAGE}.CardGenerator")
    filesystem: Any = importlib.import_module(f"{PACKAGE}.SmartcardFilesystem")
    program: Any = importlib.import_module(f"{PACKAGE}.VirtualSmartcard")
    master, access = generator.CardGenerator("iso7816").getCard()
    application, *_ = people.CARDS[CARD].image().applications
    folder = filesystem.DF(parent=master, fid=1, dfname=application.name)
    master.append(folder)
    for short, (identifier, file) in enumerate(application.files.items(), start=1):
        records = [
            filesystem.Record(tag, bytes((tag, len(value))) + value)
            for tag, value in file.records.items()
        ]
        folder.append(
            filesystem.RecordStructureEF(
                parent=folder,
                fid=identifier,
                shortfid=short,
                filedescriptor=VARIABLE_SIMPLE_TLV,
                records=records,
            )
        )
    return program.Iso7816OS(master, access)


def _serve(operating_system: Any, port: int) -> None:  # noqa: ANN401
    program: Any = importlib.import_module(f"{PACKAGE}.VirtualSmartcard")
    program.VirtualICC.connectToPort = staticmethod(_connect)
    emulator = program.VirtualICC(
        None, "iso7816", "127.0.0.1", port, logginglevel=logging.CRITICAL
    )
    emulator.os = operating_system
    sys.stdout.write("in\n")
    sys.stdout.flush()
    emulator.run()


def _connect(host: str, port: int) -> QuickSocket:
    connected = QuickSocket(socket.AF_INET, socket.SOCK_STREAM)
    connected.connect((host, port))
    return connected


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else None)
