"""Plain JSON: what every parser reads alike (I-JSON, RFC 7493, and reliability, 3.2).

JSON allows more than two programs agree on: a key twice, numbers that fit no machine, text
that looks like other text. A body that has any of it is refused at its place, before
anybody asks what it means.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator

from msgspec import Struct

from plugin.shapes import Place, ShapeError

DEPTH_MAX = 16
_DIGITS_MAX = 19
_INTEGERS = range(-(2**63), 2**63)
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # control, bidi, half characters


class _Odd(Struct, frozen=True):
    """Stands where something was that is not plain."""

    reason: str


def plain(raw: bytes) -> object:
    """What the body says (dicts, lists, strings, numbers); nothing is an empty object.
    Raises ShapeError about the first thing in it that is not plain."""
    try:
        said: object = json.loads(
            raw.decode() or "{}",
            object_pairs_hook=_each_once,
            parse_constant=_no_number,
            parse_float=_float,
            parse_int=_integer,
        )
    except (ValueError, RecursionError) as wrong:
        raise ShapeError((), "value", "not JSON") from wrong
    for place, reason in _oddities(said, ()):
        raise ShapeError(place, "value", reason)
    return said


def _oddities(said: object, place: Place) -> Iterator[tuple[Place, str]]:
    """What is not plain in this, in the order in which it stands there. A key is told by
    the object it stands in: nobody wants it back."""
    match said:
        case _Odd(reason):
            yield place, reason
        case str():
            yield from _oddities_of_text(said, place)
        case dict() | list() if len(place) >= DEPTH_MAX:
            yield place, f"deeper than {DEPTH_MAX}"
        case dict():
            for key, value in said.items():
                yield from _oddities_of_text(key, place)
                yield from _oddities(value, (*place, key))
        case list():
            for index, value in enumerate(said):
                yield from _oddities(value, (*place, index))
        case _:  # numbers, true, false and null
            pass


def _oddities_of_text(text: str, place: Place) -> Iterator[tuple[Place, str]]:
    if any(unicodedata.category(each) in _UNSEEN for each in text):
        yield place, "a character that cannot be seen"
    elif not unicodedata.is_normalized("NFC", text):
        yield place, "not in the normal form NFC"


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object] | _Odd:
    found = dict(pairs)
    return found if len(found) == len(pairs) else _Odd("a key twice")


def _no_number(name: str) -> _Odd:
    return _Odd(f"{name} is no number")


def _float(digits: str) -> float | _Odd:
    number = float(digits)
    return _Odd("too large") if number in (float("inf"), float("-inf")) else number


def _integer(digits: str) -> int | _Odd:
    if len(digits.lstrip("-")) > _DIGITS_MAX or int(digits) not in _INTEGERS:
        return _Odd("not within 64 bits")
    return int(digits)
