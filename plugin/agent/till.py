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
from plugin.agent.backups import Backups
from plugin.agent.courier import Courier
from plugin.agent.happenings import Happening, Happenings
from plugin.agent.loop import DecidingLoop
from plugin.agent.readers import ReaderBoard
from plugin.agent.recovery import JOURNAL_RETRY_MS
from plugin.agent.retention import Retention
from plugin.agent.service import Service
from plugin.agent.space import Space
from plugin.centre.port import Centre
from plugin.journal.place import Place
from plugin.journal.port import Journal, JournalError
from plugin.privacy import Keys
from plugin.settings import Institution, Terminal

STOP_SECONDS = 5.0
GOODBYE_SECONDS = 1.0
SPACE_SECONDS = 10
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
        space: Space,
        backups: Callable[[DecidingLoop], Backups],
        retention: Callable[[DecidingLoop], Retention],
        place: Place,
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
            space=space,
            dated=lambda day: self.retention.told(day),
            changed=changed,
        )
        self._space = space
        self.backups = backups(self.loop)
        self.retention = retention(self.loop)
        self._journal = journal
        self._place = place
        self._directories = directories
        self._threads = [
            threading.Thread(target=self.loop.run, name="deciding"),
            threading.Thread(target=space.lay_ballast, name="ballast", daemon=True),
        ]
        for transport, directory in directories.items():
            self.board.add(transport, directory)
            watch = threading.Thread(
                target=directory.watch,
                args=(self._listener(transport),),
                name=f"watching {transport}",
                daemon=True,
            )
            self._threads.append(watch)

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
        if (trouble := self._place.trouble) is not None:
            self.happenings.tell("agent.degraded", "agent", {"code": trouble.code})
        self._watch_space()
        self.backups.begin()
        self.retention.begin()
        _log.info("started", extra={"unfinished": unfinished})

    def _watch_space(self) -> None:
        """What is running must be able to end, also when the disk fills meanwhile."""
        if self._space.is_short and self._space.drop_ballast():
            self.happenings.tell("agent.degraded", "agent", {"code": "agent.disk_full"})
        self.loop.after(SPACE_SECONDS * 1000, self._watch_space)

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
        self.backups.close()
        self.retention.close()
        self._journal.close()
        self._place.close()
        self.centre.close()
