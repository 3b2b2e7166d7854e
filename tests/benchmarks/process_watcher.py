"""Our notice of cards: `process_watcher READER`, which says what `floor_notice` says.

The time is taken in the callback of `watch`, on the clock that C reads too.
Ends by signal, or when its input does.
"""

from __future__ import annotations

import sys
import threading
import time

from drivers.ports import DirectoryState
from tests.benchmarks.watched import is_present, opened


class Watcher:
    """Tells of one reader."""

    def __init__(self, reader: str) -> None:
        self._reader = reader
        self._told: bool | None = None

    def notice(self, state: DirectoryState) -> None:
        """One change of the directory."""
        at = time.monotonic_ns()
        present = is_present(state, self._reader)
        if present is not self._told:
            self._told = present
            sys.stdout.write(f"{'in' if present else 'out'} {at}\n")
            sys.stdout.flush()


def main(said: str) -> None:
    """Watch until the input ends."""
    directory, reader = opened(said)
    watch = threading.Thread(target=directory.watch, args=(Watcher(reader).notice,))
    watch.start()
    sys.stdin.read()
    directory.close()


if __name__ == "__main__":
    main(sys.argv[1])
