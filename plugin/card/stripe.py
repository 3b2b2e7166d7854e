"""Old medical cards that are a magnetic stripe (domain facts, 6).

The reader's driver answers `FF B2 track 00 00` with the characters between the sentinels of
a track. Where in them the number lies comes from the region profile.
"""

from __future__ import annotations

import re

from msgspec import Struct

from drivers.conversation import Procedure
from drivers.iso7816.apdu import READ_RECORD, SHORT_NE_MAX, CommandApdu, ResponseApdu
from drivers.iso7816.status_word import RECORD_NOT_FOUND
from plugin.card import decoding
from plugin.card.errors import UnreadableCardError, UnsupportedCardError, refusal
from plugin.card.medical import MedicalCard

HISTORICAL_BYTES = b"TRACK"  # of the answer to reset that the driver makes up
PSEUDO_CLASS = 0xFF
CHARACTERS = {1: 76, 2: 37, 3: 104}  # between the sentinels of a track (ISO 7811-2)
_SEPARATORS = re.compile(r"[=^]")


class Columns(Struct, frozen=True, kw_only=True):
    """Where a field lies: its track (1 to 3), its first character counted from zero behind
    the start sentinel, and how many; without a length it ends at the next separator
    (`=` or `^`)."""

    track: int
    offset: int = 0
    length: int | None = None


class StripeLayout(Struct, frozen=True, kw_only=True):
    """One kind of stripe of a city."""

    number: Columns
    social_security_number: Columns | None = None
    name: Columns | None = None


def is_stripe(historical_bytes: bytes) -> bool:
    """Whether an answer to reset stands for a card that was swiped."""
    return historical_bytes == HISTORICAL_BYTES


def read_stripe(layouts: tuple[StripeLayout, ...]) -> Procedure[MedicalCard]:
    """The fields of the first layout whose number is there: one command a track.

    Raises UnsupportedCardError when no layout fits.
    """
    tracks: dict[int, str | None] = {}
    for layout in layouts:
        number = yield from _field(layout.number, tracks)
        if number is not None:
            return MedicalCard(
                kind="stripe",
                number=number,
                social_security_number=(
                    yield from _field(layout.social_security_number, tracks)
                ),
                name=(yield from _field(layout.name, tracks)),
            )
    raise UnsupportedCardError("no stripe of this region")


def _field(
    columns: Columns | None, tracks: dict[int, str | None]
) -> Procedure[str | None]:
    """What stands in these columns; None when they are not there, or not all of them."""
    if columns is None:
        return None
    if columns.track not in tracks:
        tracks[columns.track] = yield from _track(columns.track)
    found = (tracks[columns.track] or "")[columns.offset :]
    if columns.length is None:
        found = _SEPARATORS.split(found, maxsplit=1)[0]
    elif len(found) < columns.length:
        return None
    else:
        found = found[: columns.length]
    return None if _SEPARATORS.search(found) else found.strip() or None


def _track(number: int) -> Procedure[str | None]:
    got: ResponseApdu = yield CommandApdu(
        cla=PSEUDO_CLASS, ins=READ_RECORD, p1=number, p2=0, ne=SHORT_NE_MAX
    )
    if got.sw == RECORD_NOT_FOUND:
        return None
    if not got.sw.is_success:
        raise refusal(got.sw, f"track {number}")
    text = decoding.characters(got.data)
    if text is None and got.data:
        raise UnreadableCardError(f"track {number} is no text")
    return text
