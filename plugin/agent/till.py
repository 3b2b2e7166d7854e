"""One running agent without its HTTP server: the parts, their threads, their beginning and
their end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from random import Random

from drivers.ports import Clock, DirectoryState, ReaderDirectory
from plugin.activation import saga
from plugin.activation.region import RegionProfile
from plugin.agent.courier import Courier
from plugin.agent.custody import Custody
from plugin.agent.failure import described
from plugin.agent.happenings import Happening, Happenings
from plugin.agent.loop import DecidingLoop
from plugin.agent.readers import ReaderBoard
from plugin.agent.recovery import JOURNAL_RETRY_MS
from plugin.agent.service import ProblemError, Service
from plugin.centre.port import Centre
from plugin.journal.port import Journal, JournalError
from plugin.privacy import Keys
from plugin.settings import Institution, Terminal

STOP_SECONDS = 5.0
GOODBYE_SECONDS = 1.0
_log = logging.getLogger("kaqi.till")


class Till:
    """`directories` are the readers by transport; `changed` hears the id of every
    transaction that has changed, `happened` every event, both on the deciding thread."""

    def __init__(
        self,
        *,
        clock: Clock,
        random: Random,
        institution: Institution,
        profile: RegionProfile,
        journal: Journal,
        keys: Keys,
        centre: Centre,
        directories: Mapping[str, ReaderDirectory],
        simulated: bool,
        psam: str | None,
        terminal: Terminal,
        custody: Callable[[DecidingLoop], Custody],
        changed: Callable[[str], None],
        happened: Callable[[Happening], None],
    ) -> None:
        ticks = map(saga.last_tick, journal.unfinished())
        self.loop = DecidingLoop(clock, base=max(ticks, default=0))
        self.happenings = Happenings(journal, self.loop.wall)
        self.happenings.listen(happened)
        self.board = ReaderBoard(
            self.loop,
            clock,
            self.happenings,
            lambda: self.service.counter_changed(),
            psam,
        )
        self.centre = centre
        self.custody = custody(self.loop)
        self.service = Service(
            loop=self.loop,
            board=self.board,
            journal=journal,
            keys=keys,
            centre=centre,
            courier=Courier(centre, self.loop.post),
            happenings=self.happenings,
            random=random,
            institution=institution,
            profile=profile,
            simulated=simulated,
            terminal=terminal,
            space=self.custody.space,
            trouble=self.custody.trouble,
            dated=self.custody.told,
            changed=changed,
        )
        self._journal = journal
        self._directories = directories
        for transport, directory in directories.items():
            self.board.add(transport, directory)
        self._threads = [
            threading.Thread(target=self.loop.run, name="deciding"),
            *(self._watch(*each) for each in directories.items()),
        ]

    def _watch(self, transport: str, directory: ReaderDirectory) -> threading.Thread:
        return threading.Thread(
            target=directory.watch,
            args=(self._listener(transport),),
            name=f"watching {transport}",
            daemon=True,
        )

    def _listener(self, transport: str) -> Callable[[DirectoryState], None]:
        def notice(state: DirectoryState) -> None:
            self.loop.post(lambda: self.board.directory_changed(transport, state))

        return notice

    def start(self) -> None:
        """Take up what was left unfinished, then watch the readers."""
        self.loop.post(self._begin)
        for thread in self._threads:
            thread.start()

    def _begin(self) -> None:
        try:
            unfinished = self.service.resume()
        except JournalError as failed:
            _log.error("the journal failed", extra={"code": failed.code})
            self.loop.after(JOURNAL_RETRY_MS, self._begin)
            return
        self.happenings.tell("agent.started", "agent")
        self._remind()
        self.custody.begin(self.happenings)
        _log.info("started", extra={"unfinished": unfinished})

    def rejected(self, code: str, times: int) -> None:
        """Tell that somebody was turned away at the door. From any thread."""
        told: dict[str, str | int] = {"code": code, "times": times}
        self.loop.post(lambda: self.happenings.tell("security.rejected", "agent", told))

    def _remind(self) -> None:
        try:
            self.service.remind()
        except (JournalError, ProblemError) as failed:  # they can still be asked for
            _log.error("nobody was reminded", extra=described(failed))

    def say_goodbye(self) -> None:
        """Tell that the agent stops. From any thread but the deciding one."""
        told = self.loop.ask(lambda: self.happenings.tell("agent.stopping", "agent"))
        with suppress(Exception):  # a deaf loop is no reason to stay
            told.result(GOODBYE_SECONDS)

    def stop(self) -> None:
        """End the threads and give everything back."""
        for directory in self._directories.values():
            directory.close()
        self.loop.post(self.board.close)
        self.loop.stop()
        for thread in self._threads:
            thread.join(STOP_SECONDS)
        self.custody.rest(STOP_SECONDS)
        self._journal.close()
        self.custody.close()
        self.centre.close()
