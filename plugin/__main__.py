"""`kaqi`, and `python -m plugin`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command and leave with its exit code."""
    from plugin import cli

    sys.exit(cli.run(sys.argv[1:]))


if __name__ == "__main__":
    main()
