"""Room on the journal's disk: what begins needs some, and what was begun must be able to
end. So new transactions are refused while there is still a little left, and a file that is
good for nothing else gives way to those that run (reliability, 4.8)."""

from __future__ import annotations

import logging
import os
import shutil
from contextlib import suppress
from pathlib import Path

from plugin.activation.problem import Problem
from plugin.agent.doctor import Finding

MIB = 1 << 20
NEEDED = 64 * MIB  # with less nothing is begun
COMFORTABLE = 200 * MIB  # with less somebody should make room
BALLAST = 64 * MIB
_log = logging.getLogger("kaqi.space")


class Space:
    """The disk that `folder` is on. Without `ballast` nothing is laid down there."""

    def __init__(self, folder: Path, *, ballast: bool) -> None:
        self._folder = folder
        self._file = folder / "ballast"
        self._wanted = ballast

    @property
    def free(self) -> int:
        """Bytes that this user may still write."""
        return shutil.disk_usage(self._folder).free

    def known_free(self) -> int | None:
        """The same; None where nobody can say."""
        try:
            return self.free
        except OSError:
            return None

    @property
    def is_short(self) -> bool:
        """Whether nothing may begin. Where nobody can say, it may."""
        free = self.known_free()
        return free is not None and free < NEEDED

    def lay_ballast(self) -> None:
        """Put the ballast there, where there is room for it. Never raises."""
        with suppress(OSError):
            laid = self._file.exists() and self._file.stat().st_size == BALLAST
            if not self._wanted or laid or self.free < COMFORTABLE + BALLAST:
                return
            with self._file.open("wb") as file:
                for _ in range(BALLAST // MIB):
                    file.write(os.urandom(MIB))  # what can be compressed keeps no room

    def drop_ballast(self) -> bool:
        """Give its room to what is running. Returns whether there was any."""
        try:
            self._file.unlink()
        except OSError:
            return False
        _log.warning("the disk is nearly full")
        return True

    def finding(self) -> Finding:
        """How much room there is, for people."""
        try:
            free = self.free
        except OSError:
            return Finding(name="disk", required=False)
        problem = None
        if free < COMFORTABLE:
            code = "agent.disk_full" if free < NEEDED else "agent.disk_low"
            problem = Problem(code, {"free": f"{free // MIB} MiB"})
        short = free < NEEDED
        return Finding(
            name="disk", required=short, problem=problem, detail=f"{free // MIB} MiB"
        )
