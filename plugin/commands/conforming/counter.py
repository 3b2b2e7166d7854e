"""The counter at which a POS is examined: a simulated agent that can be started again at the
same address, and the customers in front of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

from msgspec import convert

from drivers.ports import Mishap, Planned
from plugin import main, simulated
from plugin.activation.problem import Problem
from plugin.centre.simulated import Fault, SimulatedCentreDesk
from plugin.client import Kaqi, KaqiError, Transaction
from plugin.commands import serve
from plugin.commands.conforming.recording import Recorder
from plugin.commands.conforming.situations import (
    POS,
    RETRY_AFTER,
    Does,
    Move,
    Situation,
)
from plugin.commands.serve import Options, Serving

SCOPES = ("read", "activate", "identity", "operate")
SETTINGS = """
region = "{region}"
[institution]
code = "SIM0001"
name = "模拟机构 Simulated"
kind = "hospital"
"""


class Counter:
    """One situation. Use as a context manager; `folder` is empty, and `centre` the address
    of a simulated centre that nobody else uses."""

    def __init__(self, situation: Situation, folder: Path, centre: str) -> None:
        self._situation = situation
        self._folder = folder
        self._centre = SimulatedCentreDesk(centre)
        self._options = Options(
            settings=self._settings(),
            data=folder / "data",
            port=0,
            simulate=True,
            centre=centre,
        )
        refusal = Problem("client.rate_limited", {"seconds": str(RETRY_AFTER)})
        self.recorder = Recorder(
            ways=situation.ways,
            change=situation.change,
            refusal=main.catalogue().body(refusal, retry_after=RETRY_AFTER),
        )
        self._running = ExitStack()
        self._over = threading.Event()
        self._customer = threading.Thread(target=self._play)
        self._occupied: Transaction | None = None
        self.left_over: str | None = None
        self._serving: Serving
        self._acts: dict[Does, Callable[[Move], None]] = {
            Does.INSERT: lambda move: self._hand.insert(move.card, self._reader(move)),
            Does.REMOVE: lambda move: self._hand.remove(self._reader(move)),
            Does.TEAR: self._tear,
            Does.RESTART: lambda _: self._restart(),
            Does.OCCUPY: lambda _: self._occupy(),
            Does.VACATE: lambda _: self._vacate(),
            Does.SELL: self._sell,
            Does.CENTRE: self._mislead,
        }

    def __enter__(self) -> Counter:
        self._centre.reset()
        self._start()
        self.token = self._serving.folder.pair(POS, SCOPES)
        for move in self._situation.before:
            self._acts[move.does](move)
        self.recorder.calls.clear()  # of a sale before this one
        self._customer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._over.set()
        self._customer.join()
        self._running.close()

    @property
    def address(self) -> str:
        """Where the POS finds the agent."""
        return self._serving.address

    def _settings(self) -> Path | None:
        if self._situation.region is None:
            return None
        file = self._folder / "kaqi.toml"
        said = SETTINGS.format(region=self._situation.region)
        file.write_text(said, encoding="utf-8")
        return file

    def _start(self) -> None:
        with ExitStack() as stack:
            around = self.recorder.around
            prepared = serve.prepared(self._options, around)
            self._serving = stack.enter_context(prepared)
            thread = self._serving.server.run_beside()
            stack.callback(thread.join)
            stack.callback(self._serving.server.stop)
            self.recorder.ours = self._serving.folder.operator_token()
            self._running.push(stack.pop_all())

    def _restart(self) -> None:
        self._running.close()
        port = self._serving.port
        self._options = Options(
            settings=self._options.settings,
            data=self._options.data,
            port=port,
            simulate=True,
            centre=self._options.centre,
        )
        self._start()

    # The customers

    def _play(self) -> None:
        """One move after the other, each when the POS has been told what it waits for."""
        seen = 0
        for move in self._situation.moves:
            if move.when:
                wait = self.recorder.wait_until_told
                seen = wait(move.when, seen, self._over.is_set)
            if self._over.is_set():
                return
            self._acts[move.does](move)

    @property
    def _hand(self) -> simulated.Readers:
        assert self._serving.hand is not None  # noqa: S101 - it simulates
        return self._serving.hand

    def _reader(self, move: Move) -> str:
        return self._hand.readers()[move.reader]

    def _tear(self, move: Move) -> None:
        planned = Planned(mishap=Mishap.PULL, at=move.at)
        self._hand.plan(self._reader(move), planned)

    def _occupy(self) -> None:
        self._occupied = self._pos(self.recorder.ours).start("pharmacy")

    def _vacate(self) -> None:
        assert self._occupied is not None  # noqa: S101 - occupied before
        with suppress(KaqiError):
            self._pos(self.recorder.ours).cancel(self._occupied)

    def _sell(self, move: Move) -> None:
        pos, reader = self._pos(self.token), self._reader(move)
        now = pos.start("outpatient_registration")
        self._hand.insert(move.card, reader)
        while not now.ended:
            now = pos.next(now)
        self._hand.remove(reader)
        self.left_over = now.id

    def _pos(self, token: str) -> Kaqi:
        return Kaqi(token=token, address=f"127.0.0.1:{self._serving.port}")

    def _mislead(self, move: Move) -> None:
        self._centre.misbehave(convert(list(move.faults), list[Fault]))
