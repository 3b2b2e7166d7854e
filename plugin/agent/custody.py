"""What keeps the journal well while the agent works: the room on its disk, its copies, what is
forgotten in time, and that it is the one that was left here (reliability, 4.8)."""

from __future__ import annotations

import threading
from datetime import date

from plugin.activation.problem import Problem
from plugin.agent.backups import Backups
from plugin.agent.doctor import Finding, journal
from plugin.agent.happenings import Happenings
from plugin.agent.loop import DecidingLoop
from plugin.agent.retention import Retention
from plugin.agent.space import Space
from plugin.journal.place import Place

SPACE_MS = 10_000


class Custody:
    """Lives on the deciding thread; `place` is where the journal lies, and closed last."""

    def __init__(
        self,
        loop: DecidingLoop,
        *,
        place: Place,
        space: Space,
        backups: Backups,
        retention: Retention,
    ) -> None:
        self.backups = backups
        self.retention = retention
        self.space = space
        self._loop = loop
        self._place = place
        self._laying = threading.Thread(
            target=space.lay_ballast, name="ballast", daemon=True
        )

    def begin(self, happenings: Happenings) -> None:
        """Say what is wrong already, and begin to look after it."""
        if self.trouble is not None:
            happenings.tell("agent.degraded", "agent", {"code": self.trouble.code})
        self._laying.start()
        self._watch_space(happenings)
        self.backups.begin()
        self.retention.begin()

    def _watch_space(self, happenings: Happenings) -> None:
        """What is running must be able to end, also when the disk fills meanwhile."""
        if self.space.is_short and self.space.drop_ballast():
            happenings.tell("agent.degraded", "agent", {"code": "agent.disk_full"})
        self._loop.after(SPACE_MS, lambda: self._watch_space(happenings))

    def told(self, centre: date) -> None:
        """The centre has said what day it is."""
        self.retention.told(centre)

    @property
    def trouble(self) -> Problem | None:
        """Why nothing can be promised, if so."""
        return self._place.trouble

    def findings(self) -> tuple[Finding, ...]:
        """All of it, for people."""
        return (
            journal(self.trouble),
            self.space.finding(),
            self.backups.finding(),
            *self.retention.findings(),
        )

    def rest(self, seconds: float) -> None:
        """Leave what is under way: it is begun anew next time."""
        if self._laying.is_alive():
            self._laying.join(seconds)
        self.backups.close()
        self.retention.close()

    def close(self) -> None:
        """Another may have the journal now."""
        self._place.close()
