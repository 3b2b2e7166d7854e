"""`kaqi`, and `python -m plugin`."""

from __future__ import annotations

import signal
import sys

TERMINATED = 128 + 15


def main() -> None:
    """Run the command and leave with its exit code."""
    from plugin import cli

    # Leave as from an exception, so that what was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    sys.exit(cli.run(sys.argv[1:]))


if __name__ == "__main__":
    main()
