"""What no text on a screen may contain, by the tables of Unicode rather than by ours."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from msgspec import to_builtins

_CONTROLS = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_DIRECTIONS = frozenset(
    {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI", "BN", "B"}
)
# Default_Ignorable_Code_Point (DerivedCoreProperties.txt): drawn as nothing.
_IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def hidden(text: str) -> list[str]:
    """The characters of a text that control, direct or are not seen."""
    return [
        f"U+{ord(each):04X}"
        for each in text
        if unicodedata.category(each) in _CONTROLS
        or unicodedata.bidirectional(each) in _DIRECTIONS
        or _IGNORABLE.match(each)
    ]


def hidden_in(value: object) -> list[str]:
    """The same, of every text in a value and the values it is made of."""
    return list(_within(to_builtins(value)))


def _within(value: object) -> Iterator[str]:
    match value:
        case str():
            yield from hidden(value)
        case dict():
            for part in value.values():
                yield from _within(part)
        case list() | tuple():
            for part in value:
                yield from _within(part)
        case _:
            pass
