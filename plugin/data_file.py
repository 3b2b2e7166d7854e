"""TOML files people write: read, checked against a shape, and every mistake named with its
file, its key, the reason and the remedy.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Struct

MAX_BYTES = 256 * 1024

Shape = TypeVar("Shape", bound="Strict")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<key>.*)`")
_MISSING = re.compile(r"Object missing required field `(?P<key>.*)`")
_PLACE = re.compile(r" - at `(?:key in )?\$(?P<path>.*)`$", re.DOTALL)


class Strict(Struct, kw_only=True, forbid_unknown_fields=True):
    """Nothing unknown and nothing converted."""


class WrongValueError(ValueError):
    """What a shape's own check found wrong with one of its keys."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(reason)
        self.key = key


class DataFileError(Exception):
    """A file people wrote is wrong; `facts` fill the catalogue's sentences."""

    def __init__(
        self, file: str, key: str, reason: str, remedy_zh: str, remedy_en: str
    ) -> None:
        super().__init__(f"{file}: {key}: {reason} ({remedy_en})")
        self.facts = {
            "file": file,
            "key": key,
            "reason": reason,
            "remedy_zh": remedy_zh,
            "remedy_en": remedy_en,
        }


def load(path: Path, shape: type[Shape]) -> Shape:
    """The checked content of a TOML file. Raises DataFileError."""
    name = path.name
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataFileError(
                name, "-", "larger than 256 KiB", "换一个文件", "give another file"
            )
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as failed:
        reason = failed.strerror or "cannot be read"
        raise DataFileError(
            name,
            "-",
            reason,
            "检查文件路径和权限",
            "check the path and the permissions",
        ) from failed
    except UnicodeDecodeError as failed:
        raise DataFileError(
            name, "-", "not UTF-8", "另存为 UTF-8 编码", "save it as UTF-8"
        ) from failed
    except tomllib.TOMLDecodeError as failed:
        raise DataFileError(
            name,
            "-",
            str(failed),
            "按提示的行列修改",
            "correct it at that line and column",
        ) from failed
    except RecursionError as failed:
        raise DataFileError(
            name, "-", "nested too deeply", "减少嵌套", "nest less"
        ) from failed
    return check(name, content, shape)


def check(name: str, content: dict[str, Any], shape: type[Shape]) -> Shape:
    """Check what a file said. Raises DataFileError about the first mistake."""
    try:
        return msgspec.convert(content, shape)
    except msgspec.ValidationError as wrong:
        own = (
            wrong.__cause__.key if isinstance(wrong.__cause__, WrongValueError) else ""
        )
        raise _mistake(name, str(wrong), own, shape) from wrong


def _mistake(name: str, told: str, own: str, shape: type[Strict]) -> DataFileError:
    """Where and why, from `reason - at `$.place`` and the key a shape's own check named."""
    place = _PLACE.search(told)
    path = ".".join(filter(None, (place["path"].lstrip(".") if place else "", own)))
    reason = told[: place.start()] if place else told
    if unknown := _UNKNOWN.fullmatch(reason):
        key = unknown["key"]
        near = difflib.get_close_matches(key, _names(shape), n=1)
        hint_zh = f"删除它，或改为 {near[0]}" if near else "删除它"
        hint_en = f"remove it, or write {near[0]}" if near else "remove it"
        where = ".".join(filter(None, (path, key)))
        return DataFileError(name, where, "unknown key", hint_zh, hint_en)
    if missing := _MISSING.fullmatch(reason):
        where = ".".join(filter(None, (path, missing["key"])))
        return DataFileError(
            name, where, "missing", "补上这一项", "add it; see reference.toml"
        )
    return DataFileError(
        name, path or "-", reason, "改为允许的值", "write a value it can have"
    )


def _names(shape: type) -> Iterator[str]:
    """Every key this shape or a shape inside it knows."""
    for name, kind in get_type_hints(shape).items():
        yield name
        for inner in (kind, *get_args(kind)):
            if isinstance(inner, type) and issubclass(inner, Strict):
                yield from _names(inner)
