"""From the bytes of a record to a value that can be shown (domain facts, 2.7).

Whatever a card says is untrusted: text loses its control, direction and invisible
characters, digits that are none are absent, and nothing here raises.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date

from plugin.card.identity import parse_day

_PADDING = b"\x00 "
# Private use and what this Python's tables do not know yet stay: rare names.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# What Unicode draws as nothing beyond these (Default_Ignorable_Code_Point): joiners, fillers,
# vowel and variation selectors, and what is reserved for more of them.
_NOTHING = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0f\uffa0"
    "\ufff0-\ufff8\U000e0000-\U000e0fff\ufdd0-\ufdef]"
)
MAX_NAME_CHARACTERS = 50


def characters(value: bytes | None) -> str | None:
    """An `an` value: printable ASCII without its padding; None when it is not that."""
    if value is None:
        return None
    text = value.strip(_PADDING).decode("ascii", errors="replace")
    return text if text and text.isascii() and text.isprintable() else None


def digits(value: bytes | None) -> str | None:
    """A `cn` value: its digits without the F filling; None when it is not that."""
    if value is None:
        return None
    text = value.hex().upper().rstrip("F")
    return text if text.isdigit() else None


def day(value: bytes | None) -> date | None:
    """A `cn` date YYYYMMDD in the first four bytes; None when there is no such day."""
    text = digits(value[:4] if value is not None else None)
    return parse_day(text) if text is not None else None


def name(first: bytes | None, extension: bytes | None = None) -> str | None:
    """A name that may continue in a second record: joined as bytes, then trimmed and
    decoded, because a character can straddle the two. None when it is no GB18030 text."""
    rest = (extension or b"").strip(_PADDING)
    joined = (_up_to_the_seam(first or b"") + rest if rest else first or b"").strip(
        _PADDING
    )
    try:
        text = joined.decode("gb18030")
    except UnicodeDecodeError:
        return None
    seen = "".join(c for c in text if _can_be_seen(c))
    return unicodedata.normalize("NFC", seen)[:MAX_NAME_CHARACTERS] or None


def _up_to_the_seam(first: bytes) -> bytes:
    """The first part of a name that goes on: what fills it is taken off, but for the one
    space after a Latin word. No byte of a longer character is a space or 00."""
    bare = first.rstrip(_PADDING)
    word = bare.decode("gb18030", errors="ignore")[-1:]
    spaced = first.rstrip(b"\x00") != bare and word.isascii()
    return bare + b" " if spaced else bare


def _can_be_seen(character: str) -> bool:
    return (
        unicodedata.category(character) not in _UNSEEN
        and ord(character) & 0xFFFE != 0xFFFE  # noncharacters, like FDD0 to FDEF
        and not _NOTHING.match(character)
    )
