"""What a track reader sends of a magnetic stripe (ISO 7811-2, ISO 7813; domain facts, 6).

    track 1:  % characters 20..5F ?     up to 79 characters, sentinels and LRC included
    track 2:  ; digits and : < = > ?    up to 40
    track 3:  ; the same ?              up to 107

Each `?` may be followed by the LRC of its track, and each track or the whole swipe by CR, LF
or CR LF. A stripe is read while the card moves: a swipe is over when the line stays quiet.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import reduce
from operator import xor

from msgspec import Struct, field

BUFFER_MAX = 4096
END_SENTINEL = "?"
_ALPHA = re.compile(r"%[ -$&->@-_]*\?")
_NUMERIC = re.compile(r"[;+][0-9:<=>]*\?")
_LENGTHS = {1: 79, 2: 40, 3: 107}
_LINE_ENDS = "\r\n"
_ALPHA_BITS, _NUMERIC_BITS = 0x3F, 0x0F
_ALPHA_ZERO, _NUMERIC_ZERO = 0x20, 0x30


class Lrc(StrEnum):
    """Whether this reader sends the LRC of each track."""

    OPTIONAL = "optional"
    ALWAYS = "always"
    NEVER = "never"


class Swipe(Struct, frozen=True):
    """One pass of a card: what stood between the sentinels, by track number. `whole` is
    False when something came that is no track. Prints nothing of it."""

    tracks: Mapping[int, str] = field(default_factory=dict)
    whole: bool = True

    def __repr__(self) -> str:
        return f"<Swipe tracks {sorted(self.tracks)}>"


def swiped(came: bytes, lrc: Lrc = Lrc.OPTIONAL) -> Swipe:
    """What one pass of a card has sent, in its order. Never raises."""
    rest = came[:BUFFER_MAX].decode("ascii", "replace").strip(_LINE_ENDS + "\0")
    tracks: dict[int, str] = {}
    whole = bool(rest and len(came) <= BUFFER_MAX)
    while rest and whole:
        found = _ALPHA.match(rest) or _NUMERIC.match(rest)
        number = _number(rest, tracks)
        if found is None or number is None or found.end() > _LENGTHS[number]:
            whole = False
            break
        rest, whole = _without_lrc(found.group(), rest[found.end() :], lrc)
        tracks[number] = found.group()[1:-1]
        rest = rest.lstrip(_LINE_ENDS)
    return Swipe(tracks if whole else {}, whole)


def _number(rest: str, tracks: Mapping[int, str]) -> int | None:
    """Which track this is: the second of digits is the third of all."""
    if rest.startswith("%"):
        return 1 if not tracks else None
    third = 2 in tracks or rest.startswith("+")
    return None if third and 3 in tracks else 3 if third else 2


def _without_lrc(track: str, behind: str, lrc: Lrc) -> tuple[str, bool]:
    """What follows a track without its LRC, and whether that was right."""
    if lrc is Lrc.NEVER:
        return behind, True
    expected = lrc_of(track)
    there, after = behind[:1] == expected, behind[1:2]
    if there and (lrc is Lrc.ALWAYS or after in ("", *_LINE_ENDS, "%", ";", "+")):
        return behind[1:], True
    none_there = behind[:1] in ("", *_LINE_ENDS, "%", ";", "+")
    return behind, none_there and lrc is Lrc.OPTIONAL


def lrc_of(track: str) -> str:
    """The LRC of a track with its sentinels, as the character readers send for it."""
    alpha = track.startswith("%")
    zero, bits = (_ALPHA_ZERO, _ALPHA_BITS) if alpha else (_NUMERIC_ZERO, _NUMERIC_BITS)
    return chr(zero + (reduce(xor, (ord(each) - zero for each in track)) & bits))
