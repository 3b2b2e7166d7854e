"""`kaqi`, and `python -m plugin`."""

from __future__ import annotations

import gc
import signal
import sys

TERMINATED = 128 + 15


def main() -> None:
    """Run the command and leave with its exit code."""
    # Starting makes many objects that stay: looking through them for garbage again and
    # again would cost a fifth of the start. `serve` turns the collector on.
    gc.disable()
    # Leave as from an exception, so that what was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))

    from plugin import cli

    sys.exit(cli.run(sys.argv[1:]))


if __name__ == "__main__":
    main()
