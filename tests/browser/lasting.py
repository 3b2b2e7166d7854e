"""A till whose readers, cards, centre and page outlive its agent: the agent is a process of
its own, which is killed and started again at the same address.

Whoever passes the label that `hold` names stands there until `let_go`: that keeps a moment of
a sale for as long as a test wants to look at it. Only places where a card or the centre is
waited for anyway are meant, so that the agent goes on answering.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from playwright.sync_api import Page

from plugin.activation.region import Clocks
from plugin.agent import readers
from plugin.data_folder import DataFolder
from simulator.reader import READER_NAMES
from tests.agents import Answer, Pos
from tests.centre import CentreProcess
from tests.chaos.agent import FORKS, run
from tests.chaos.labels import Way
from tests.waiting import WAIT_SECONDS, wait_until

HOLD = "hold.txt"
PATIENT = Clocks(card=600, confirm=600, pin=600, registration=900, centre=600)
NOT_GIVEN_AWAY = range(
    20_000, 32_768
)  # ports that the system gives to nobody by itself


class HeldWay(Way):
    """Where one label is held."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "trace.txt", None)
        self._order = folder / HOLD

    def at(self, label: str) -> None:
        """Here we are, and may have to stay."""
        pause = threading.Event()
        while self._held() == label:
            pause.wait(0.01)

    def _held(self) -> str:
        with suppress(FileNotFoundError):
            return self._order.read_text()
        return ""


def as_a_till(
    pipe: Any,  # noqa: ANN401 - multiprocessing has a type of its own per system
    folder: Path,
    centre: str,
    region: str,
    port: int,
) -> None:
    """A pharmacy's agent that waits for people as long as a test likes."""
    readers.STALL_SECONDS = PATIENT.card  # a card that is held is not stuck
    way = HeldWay(folder)
    run(folder, centre, region, "pharmacy", way, pipe.send, PATIENT, port)


class LastingTill:
    """The till of a folder. Use as a context manager."""

    def __init__(
        self, folder: Path, centre: CentreProcess, region: str = "reference"
    ) -> None:
        self._folder = folder
        self._centre = centre
        self._region = region
        self._process: Any = None
        self.port = _free_port()

    def __enter__(self) -> Self:
        self._folder.mkdir(exist_ok=True)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, at the address it always has."""
        ours, theirs = FORKS.Pipe(duplex=False)
        said = (self._folder, self._centre.address, self._region, self.port)
        self._process = FORKS.Process(
            target=as_a_till, args=(theirs, *said), daemon=True
        )
        self._process.start()
        theirs.close()
        port, token = ours.recv()
        ours.close()
        assert port == self.port
        self.pos = Pos(port, token)

    def kill(self) -> None:
        """SIGKILL: nothing is said goodbye to."""
        if self._process.exitcode is None:
            os.kill(self._process.pid, signal.SIGKILL)
        self._process.join(WAIT_SECONDS)

    def killed_and_started(self) -> None:
        """The watchdog's part, once the held label is none any more."""
        self.kill()
        self.let_go()
        self.start()

    # The page

    def open(self, page: Page) -> None:
        """What `kaqi console` does."""
        token = DataFolder(self._folder / "data").operator_token()
        made = Pos(self.port, token).request("POST", "/v1/console/codes", {})
        page.goto(f"http://127.0.0.1:{self.port}/#code={made.body['code']}")

    # Holding a moment

    def hold(self, label: str) -> None:
        """Whoever comes there stays there."""
        draft = self._folder / "hold.new"
        draft.write_text(label)
        draft.replace(self._folder / HOLD)

    def let_go(self) -> None:
        """Nobody is held."""
        (self._folder / HOLD).unlink(missing_ok=True)

    # The counter

    def insert(self, card: str, reader: str) -> None:
        """Put a card of the cast in."""
        assert self._move(reader, "insert", {"card": card}).status == 204

    def remove(self, reader: str) -> None:
        """Take whatever is in out."""
        assert self._move(reader, "remove", {}).status == 204

    def clear(self) -> None:
        """No card is left in a reader."""
        for reader in READER_NAMES:
            self.remove(reader)

    def _move(self, reader: str, verb: str, body: object) -> Answer:
        ids: dict[str, str] = {}

        def known() -> bool:
            ids.update(
                {each["name"]: str(each["id"]) for each in self.pos.kaqi.readers()}
            )
            return reader in ids

        wait_until(known)
        return self.pos.request(
            "POST", f"/v1/simulate/readers/{ids[reader]}/{verb}", body
        )

    # The truth

    @property
    def records(self) -> list[str]:
        """The states of the durable records, the oldest first."""
        listed = self.pos.request("GET", "/v1/activations").body["activations"]
        return [str(each["state"]) for each in reversed(listed)]

    @property
    def effects(self) -> int:
        """How many activations the centre has in its book."""
        return len(self._centre.effects)


def _free_port() -> int:
    """One that nobody has, and that stays so while its agent is down."""
    while True:
        port = random.choice(NOT_GIVEN_AWAY)
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port
