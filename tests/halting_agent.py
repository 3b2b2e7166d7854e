"""`python -m tests.halting_agent FOLDER CENTRE AT [REGION]`: an agent in a process of its own,
in a region that has PINs changed, with a card that never answers its command number AT. It says
where it is, then that the card was asked, and waits to be killed."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from msgspec.structs import replace

from plugin.activation.region import NewPin, PinPolicy
from plugin.profile_file import load_profile
from simulator.people import engine
from simulator.reader import InProcessDesk
from tests.agents import running
from tests.scenario.counter import Tripwire

CARD = "lin.social_security"


def main(folder: str, centre: str, at: str, region: str | None = None) -> None:
    """Run until killed."""
    hand, ever = InProcessDesk(), threading.Event()

    def halt() -> None:
        print("asked", flush=True)  # noqa: T201 - the test waits for it
        ever.wait()

    policy = PinPolicy(new=NewPin.SET)
    profile = load_profile(region or "reference")
    if region is None:
        profile = replace(profile, pin=policy)
    readers = {"inprocess": hand}
    with running(Path(folder), centre, readers, hand, profile=profile) as started:
        card = Tripwire(engine(CARD), int(at), halt)
        hand.insert_card(card, hand.readers()[0])
        print(started.port, started.pos.token, flush=True)  # noqa: T201
        ever.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
