"""From the bytes of a record to a value that can be shown (domain facts, 2.7).

Whatever a card says is untrusted: text loses its control, direction and invisible
characters, digits that are none are absent, and nothing here raises.
"""

from __future__ import annotations

import unicodedata
from datetime import date

from plugin.card.identity import parse_day

_PADDING = b"\x00 "
_UNSEEN = frozenset(
    {"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"}
)  # private use stays: rare names
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
    """A `cn` date YYYYMMDD; None when there is no such day."""
    text = digits(value)
    return parse_day(text) if text is not None else None


def name(*parts: bytes | None) -> str | None:
    """A name that may continue in a second record: joined as bytes, then decoded, because
    a character can straddle the two. None when it is no GB18030 text.

    No byte of a longer character is a space or 00, so padding comes off each part."""
    joined = b"".join(part.strip(_PADDING) for part in parts if part is not None)
    try:
        text = joined.decode("gb18030")
    except UnicodeDecodeError:
        return None
    seen = "".join(c for c in text if unicodedata.category(c) not in _UNSEEN)
    return unicodedata.normalize("NFC", seen)[:MAX_NAME_CHARACTERS] or None
