"""Which card is this, and what does it say: one procedure for whatever was put in."""

from __future__ import annotations

from msgspec import Struct

from drivers.conversation import Procedure
from drivers.iso7816.atr import Atr, AtrError
from drivers.ports import PinOperation
from plugin.card import files
from plugin.card.authentication import Authentication
from plugin.card.errors import UnsupportedCardError
from plugin.card.files import Access
from plugin.card.medical import CpuLayout, MedicalCard, read_cpu_card
from plugin.card.memory import MemoryLayout, chip_of, read_memory_card
from plugin.card.pin import KeypadQuestion
from plugin.card.social_security import SocialSecurityCard, read_holder, read_issue
from plugin.card.stripe import StripeLayout, is_stripe, read_stripe

Card = SocialSecurityCard | MedicalCard


class Layouts(Struct, frozen=True, kw_only=True):
    """How the cards of a region are read: the kinds of old cards it knows, how cards of 3.0
    are authenticated, and how files are reached."""

    cpu: tuple[CpuLayout, ...] = ()
    memory: tuple[MemoryLayout, ...] = ()
    stripe: tuple[StripeLayout, ...] = ()
    authentication: Authentication = Authentication()
    access: Access = Access()


class AtReader(Struct, frozen=True):
    """A card, and what the keypad of its reader can do with its PIN."""

    card: Card
    keypad: frozenset[PinOperation] = frozenset()


ANYWHERE = Layouts()


def read_at_reader(
    layouts: Layouts, atr: bytes, *, asks_keypad: bool
) -> Procedure[AtReader]:
    """The card as `read_card` reads it, and where PINs are asked for the reader's keypad,
    which takes no command to the card."""
    card = yield from read_card(layouts, atr)
    if not asks_keypad:
        return AtReader(card)
    return AtReader(card, (yield KeypadQuestion()))


def read_card(layouts: Layouts = ANYWHERE, atr: bytes = b"") -> Procedure[Card]:
    """Read whatever lies in the reader, sending nothing the answer does not need.

    A social security card 1.0 or 2.0 takes 16 commands, 17 where the name goes on in
    tag 4E; one of 3.0, authenticated as the region says, 24 or 25; an old CPU card 12.
    Whether it is a memory card (2 to 4 commands) or a stripe (1 to 3) is known by its
    answer to reset. Raises CardError, one class a cause.
    """
    historical_bytes = _historical(atr) if atr else b""
    if is_stripe(historical_bytes):
        return (yield from read_stripe(layouts.stripe))
    chip = chip_of(historical_bytes)
    if chip is not None:
        return (yield from read_memory_card(chip, layouts.memory))
    access = layouts.access
    yield from files.select_root(access)
    issue = yield from read_issue(layouts.authentication, access, atr)
    if any(layout.recognises(issue) for layout in layouts.cpu):
        return (yield from read_cpu_card(issue, access))
    return (yield from read_holder(issue, access))


def _historical(atr: bytes) -> bytes:
    try:
        return Atr.parse(atr).historical_bytes
    except AtrError as wrong:
        raise UnsupportedCardError(f"the answer to reset: {wrong}") from wrong
