"""Which card is this, and what does it say: one procedure for whatever was put in."""

from __future__ import annotations

from drivers.conversation import Procedure
from drivers.iso7816.atr import Atr
from plugin.card import files
from plugin.card.authentication import Authentication
from plugin.card.medical import CpuLayout, MedicalCard, read_cpu_card
from plugin.card.memory import MemoryLayout, chip_of, read_memory_card
from plugin.card.social_security import SocialSecurityCard, read_holder, read_issue

Card = SocialSecurityCard | MedicalCard


def read_card(
    layouts: tuple[CpuLayout, ...],
    how: Authentication | None = None,
    *,
    memory: tuple[MemoryLayout, ...] = (),
    atr: bytes = b"",
) -> Procedure[Card]:
    """Read whatever lies in the reader, sending nothing the answer does not need.

    A social security card 1.0 or 2.0 takes 16 commands, 17 where the name goes on in
    tag 4E; one of 3.0, authenticated as the region says, 24 or 25; an old CPU card 12.
    Whether it is a memory card (2 to 4 commands) is known by its answer to reset. Raises
    CardError, one class a cause.
    """
    chip = chip_of(Atr.parse(atr).historical_bytes) if atr else None
    if chip is not None:
        return (yield from read_memory_card(chip, memory))
    yield from files.select_application(files.SSSE)
    issue = yield from read_issue(how or Authentication(), atr)
    if any(layout.recognises(issue) for layout in layouts):
        return (yield from read_cpu_card(issue))
    return (yield from read_holder(issue))
