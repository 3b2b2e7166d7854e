"""A simulated card behind a vpcd port, in a process of its own: `process_card PORT`.

Says "in" when it is in; it is taken out when standard input ends.
"""

from __future__ import annotations

import sys

from simulator import people
from simulator.vpcd import VpcdSlot

CARD = "lin.social_security"


def main(port: int) -> None:
    """Put the card in and keep it there."""
    slot = VpcdSlot(port)
    slot.insert(people.engine(CARD))
    sys.stdout.write("in\n")
    sys.stdout.flush()
    sys.stdin.read()
    slot.remove()


if __name__ == "__main__":
    main(int(sys.argv[1]))
