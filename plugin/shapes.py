"""What a file or a request may say: shapes that take nothing unknown, and every mistake with
its place.

A shape is a `Strict` struct. What msgspec finds wrong comes as one English sentence; here it
becomes a place, a kind and a reason, and the reason never repeats a value that was given.
"""

from __future__ import annotations

import difflib
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

Shape = TypeVar("Shape", bound="Strict")
_PLACE = r" - at `(?P<key_of>key` in `)?\$(?P<path>(?:\.\w+|\[\d+\]|\[\.\.\.\])*)`"
_TOLD = re.compile(rf"(?P<reason>.*?)(?:{_PLACE})?", re.DOTALL)
_UNKNOWN_AT_TOP = re.compile(r"Object contains unknown field `(?P<key>.*)`", re.DOTALL)
_UNKNOWN = re.compile(
    rf"Object contains unknown field `(?P<key>.*?)`{_PLACE}", re.DOTALL
)
_MISSING = re.compile(r"Object missing required field `(?P<key>.*)`")
_STEP = re.compile(r"\[(?P<index>\d+)\]|(?P<any>\[\.\.\.\])|(?P<key>\w+)")

Place = tuple[str | int, ...]


def whole(pattern: str) -> Meta:
    """Text that fits this pattern from its first to its last character; `$` alone would
    let a line end follow."""
    return Meta(pattern=rf"^{pattern}$(?!\n)")


class Strict(Struct, kw_only=True, forbid_unknown_fields=True):
    """Nothing unknown and nothing converted."""

    @property
    def lasting(self) -> Strict:
        """What of it may be kept, if only as a fingerprint."""
        return self


class WrongValueError(ValueError):
    """What a shape's own check found wrong with one of its keys."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(reason)
        self.key = key


class ShapeError(ValueError):
    """What was said does not fit: where (`place`, keys and indices from the outside in), in
    which way, why, and which key may have been meant (`near`)."""

    def __init__(
        self,
        place: Place,
        kind: Literal["unknown", "missing", "value"],
        reason: str,
        near: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.place = place
        self.kind = kind
        self.reason = reason
        self.near = near


def shaped(said: object, shape: type[Shape], *, strict: bool = True) -> Shape:
    """What was said (dicts, lists, strings, numbers), as this shape. Without `strict`,
    numbers may come as text. Raises ShapeError about the first mistake."""
    try:
        return msgspec.convert(said, shape, strict=strict)
    except msgspec.ValidationError as wrong:
        raise _mistake(wrong, said, shape, strict=strict) from wrong


def _mistake(
    wrong: msgspec.ValidationError, said: object, shape: type[Strict], *, strict: bool
) -> ShapeError:
    """A key is what somebody wrote, and may look like the end of msgspec's sentence."""
    told = str(wrong)
    at_top = _UNKNOWN_AT_TOP.fullmatch(told)
    if at_top and isinstance(said, Mapping) and at_top["key"] in said:
        return _unknown((), at_top["key"], shape)
    unknown = _UNKNOWN.fullmatch(told)
    found = unknown or _TOLD.fullmatch(told)
    assert found is not None  # noqa: S101 - it matches everything
    path = found["path"] or ""
    steps = [
        None if step["any"] else step["key"] or int(step["index"])
        for step in _STEP.finditer(path + ("[...]" if found["key_of"] else ""))
    ]

    def still_wrong(less: object) -> bool:
        try:
            msgspec.convert(less, shape, strict=strict)
        except msgspec.ValidationError as again:
            return str(again) == told
        return False

    place = _named(said, steps, still_wrong)
    if unknown:
        return _unknown(place, unknown["key"], shape)
    reason = found["reason"]
    if missing := _MISSING.fullmatch(reason):
        return ShapeError((*place, missing["key"]), "missing", "missing")
    if isinstance(wrong.__cause__, WrongValueError):
        return ShapeError((*place, wrong.__cause__.key), "value", reason)
    if reason.startswith("Invalid enum value"):
        fields = [step for step in steps if isinstance(step, str)]
        reason = "one of: " + ", ".join(_choices(shape, fields))
    return ShapeError(place, "value", reason)


def _unknown(place: Place, key: str, shape: type[Strict]) -> ShapeError:
    near = difflib.get_close_matches(key, _names(shape), n=1)
    return ShapeError((*place, key), "unknown", "unknown key", *near)


def _named(
    said: object,
    steps: Iterable[str | int | None],
    still_wrong: Callable[[object], bool],
) -> Place:
    """A place with its keys. Inside a table that takes any key msgspec names none (here
    None): it is the first with which the mistake is there."""
    place: Place = ()
    inside: Any = said
    for step in steps:
        found = step
        if found is None:
            found = _culprit(said, place, list(inside.items()), still_wrong)
        place, inside = (*place, found), inside[found]
    return place


def _culprit(
    said: object,
    place: Place,
    table: list[tuple[str, object]],
    still_wrong: Callable[[object], bool],
) -> str:
    def is_enough(last: int) -> bool:
        return still_wrong(_replaced(said, place, dict(table[: last + 1])))

    return table[bisect_left(range(len(table) - 1), True, key=is_enough)][0]


def _replaced(said: Any, place: Place, value: object) -> object:  # noqa: ANN401
    """What was said, with another value at this place."""
    if not place:
        return value
    first, *rest = place
    copy = said.copy()
    copy[first] = _replaced(said[first], tuple(rest), value)
    return copy


def _names(shape: type[Strict]) -> Iterator[str]:
    """Every key this shape or a shape inside it knows."""
    for name, kind in get_type_hints(shape).items():
        yield name
        for inner in _parts(kind):
            if isinstance(inner, type) and issubclass(inner, Strict):
                yield from _names(inner)


def _choices(shape: type[Strict], fields: Iterable[str]) -> Iterator[str]:
    """What may stand at a place that takes one of a few values."""
    kinds: list[Any] = [shape]
    for key in fields:
        known = [get_type_hints(kind) for kind in kinds if isinstance(kind, type)]
        inner = [hints[key] for hints in known if key in hints]
        kinds = [part for kind in inner for part in _parts(kind)]
    for kind in kinds:
        if get_origin(kind) is Literal:
            yield from map(str, get_args(kind))


def _parts(kind: object) -> Iterator[Any]:
    """A type and all that it is put together from, without what only describes it."""
    yield kind
    if get_origin(kind) is not Literal:
        for inner in get_args(kind):
            yield from _parts(inner)
