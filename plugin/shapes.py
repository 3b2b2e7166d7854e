"""What a file or a request may say: shapes that take nothing unknown, and every mistake with
its place.

A shape is a `Strict` struct. What msgspec finds wrong comes as one English sentence; here it
becomes a place, a kind and a reason, and the reason never repeats a value that was given.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

Shape = TypeVar("Shape", bound="Strict")
_PLACE = re.compile(r" - at `(?:key` in `)?\$(?P<path>.*)`$", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<key>.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<key>.*)`")
_STEP = re.compile(r"\[(?P<index>\d+)\]|(?P<key>[^.\[\]]+)")

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
        raise _mistake(wrong, shape) from wrong


def _mistake(wrong: msgspec.ValidationError, shape: type[Strict]) -> ShapeError:
    told = str(wrong)
    found = _PLACE.search(told)
    steps = _STEP.finditer(found["path"]) if found else ()
    place = tuple(step["key"] or int(step["index"]) for step in steps)
    reason = told[: found.start()] if found else told
    if unknown := _UNKNOWN.fullmatch(reason):
        near = difflib.get_close_matches(unknown["key"], _names(shape), n=1)
        return ShapeError((*place, unknown["key"]), "unknown", "unknown key", *near)
    if missing := _MISSING.fullmatch(reason):
        return ShapeError((*place, missing["key"]), "missing", "missing")
    if isinstance(wrong.__cause__, WrongValueError):
        return ShapeError((*place, wrong.__cause__.key), "value", reason)
    if reason.startswith("Invalid enum value"):
        reason = "one of: " + ", ".join(_choices(shape, place))
    return ShapeError(place, "value", reason)


def _names(shape: type[Strict]) -> Iterator[str]:
    """Every key this shape or a shape inside it knows."""
    for name, kind in get_type_hints(shape).items():
        yield name
        for inner in _parts(kind):
            if isinstance(inner, type) and issubclass(inner, Strict):
                yield from _names(inner)


def _choices(shape: type[Strict], place: Place) -> Iterator[str]:
    """What may stand at a place that takes one of a few values."""
    kinds: list[Any] = [shape]
    for key in (step for step in place if isinstance(step, str)):
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
