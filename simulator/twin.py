"""The simulated serial reader behind the real resource manager: pcscd with libccidtwin takes
it for a GemPC Twin, for a GemPC PIN pad or for a GemCore POS Pro.

The lines stay open for as long as pcscd lives: it never finds a line again that has ended.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from simulator.ccid_peer import CcidPeer
from simulator.hand import CastHand
from simulator.keypad import Keypad
from simulator.pty_line import PtyLine
from simulator.resource_manager import PrivatePcscd, library
from simulator.scenario import Card

TWIN_LIBRARY = "libccidtwin.so"
PACKAGES = {TWIN_LIBRARY: "libccid"}
FRAMES_OF_A_START = 5  # the conversation that ends with "is there a card?"


@dataclass(frozen=True)
class Model:
    """As which reader libccidtwin is to take a line."""

    kind: str
    echoes: bool = True
    slots: int = 1
    keypad: bool = False

    def reader(self, place: int) -> str:
        """How pcscd names its first slot, when it is the reader at this place."""
        return f"Simulated {self.kind} {place:02X} 00"


TWIN = Model("GemPCTwin")
POS_PRO = Model("GemCorePOSPro", echoes=False, slots=5)
PIN_PAD = Model("GemPCPinPad", keypad=True)
MODELS = (TWIN, POS_PRO, PIN_PAD)


@dataclass
class TwinDriver:
    """libccidtwin with one reader of each model."""

    models: tuple[Model, ...] = MODELS
    paced: bool = False
    name = "libccidtwin"
    peers: dict[str, CcidPeer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="kaqi-twin-"))
        self._folder.chmod(0o755)
        for place, model in enumerate(self.models):
            line = PtyLine(self._folder / model.kind)
            keypad = Keypad() if model.keypad else None
            self.peers[model.reader(place)] = CcidPeer(
                line,
                echoes=model.echoes,
                slots=model.slots,
                keypad=keypad,
                paced=self.paced,
            )

    def configuration(self) -> str:
        """For pcscd. Raises RuntimeError when the driver is not installed."""
        found = library(TWIN_LIBRARY)
        if found is None:
            raise RuntimeError("the libccid driver is not installed")
        return "\n".join(
            f'FRIENDLYNAME "Simulated {model.kind}"\n'
            f"DEVICENAME {self._folder / model.kind}:{model.kind}\n"
            f"LIBPATH {found}\n"
            for model in self.models
        )

    def is_ready(self) -> bool:
        """Whether pcscd has asked each for its card."""
        return all(peer.frames >= FRAMES_OF_A_START for peer in self.peers.values())

    def close(self) -> None:
        """End the readers; pcscd must have stopped."""
        for peer in self.peers.values():
            peer.close()
        shutil.rmtree(self._folder, ignore_errors=True)


class TwinHand(CastHand):
    """What moves cards in and out of them."""

    def __init__(self, driver: TwinDriver) -> None:
        super().__init__()
        self.driver = driver

    def readers(self) -> tuple[str, ...]:
        """The names the resource manager gives them."""
        return tuple(self.driver.peers)

    def keypad(self, reader: str) -> Keypad | None:
        """The reader's keypad, if it has one."""
        return self.driver.peers[reader].keypad

    def insert_card(self, card: Card, reader: str) -> None:
        """Put any card in."""
        self.driver.peers[reader].insert(card)

    def remove(self, reader: str) -> None:
        """Take the card out."""
        self.fate(reader).forget()
        self.driver.peers[reader].remove()

    def close(self) -> None:
        """Take every card out."""
        for reader in self.readers():
            self.remove(reader)


class TwinDesk(TwinHand):
    """The same with a resource manager of its own."""

    def __init__(self) -> None:
        super().__init__(TwinDriver())
        self.manager = PrivatePcscd(self.driver)
        self.manager.start()

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that lead to this resource manager."""
        return self.manager.environment

    def close(self) -> None:
        """Stop the resource manager, then the readers."""
        self.manager.close()
        self.driver.close()
