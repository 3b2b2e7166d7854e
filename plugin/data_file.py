"""TOML files people write: read, checked against a shape, and every mistake named with its
file, its key, the reason and the remedy.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from stat import S_ISREG
from typing import Any

from plugin.shapes import Shape, ShapeError, shaped

MAX_BYTES = 256 * 1024
LONGEST = 120  # characters that are shown of what somebody wrote
_MISTAKES = Path(__file__).parent / "texts" / "mistakes.toml"
_BLANK = re.compile(r"\\\{(\w+)\\\}")  # {name}, once it is escaped
_NO_LIST = "Expected `array`, got `object`"  # [key] for [[key]]


class DataFileError(Exception):
    """A file people wrote is wrong, at this key or as a whole; `facts` fill the catalogue's
    sentences."""

    def __init__(
        self, file: str, key: str | None, reason: str, remedy_zh: str, remedy_en: str
    ) -> None:
        place = {"key": key} if key else {}
        super().__init__(f"{': '.join([file, *place.values(), reason])} ({remedy_en})")
        self.facts = {
            "file": file,
            **place,
            "reason": reason,
            "reason_zh": in_chinese(reason),
            "remedy_zh": remedy_zh,
            "remedy_en": remedy_en,
        }


class FileMissingError(DataFileError):
    """There is no such file."""


def load(path: Path, shape: type[Shape]) -> Shape:
    """The checked content of a TOML file. Raises DataFileError."""
    name = path.name
    try:
        text = written(path, name)
    except FileNotFoundError as missing:
        raise FileMissingError(
            str(path), None, "no such file", "检查路径", "check the path"
        ) from missing
    except (OSError, ValueError) as failed:
        raise _unreadable(name, failed) from failed
    return check(name, _parsed(name, text), shape)


def written(path: Path, name: str) -> str:
    """The text of a file, with or without the mark that Notepad begins one with; mistakes
    call it `name`. Raises DataFileError, and what the operating system raises."""
    if not S_ISREG(path.stat().st_mode):  # a pipe would never end, or never begin
        raise DataFileError(
            name, None, "not a regular file", "换一个普通文件", "give a regular file"
        )
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise DataFileError(
            name, None, "larger than 256 KiB", "换一个文件", "give another file"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as failed:
        raise DataFileError(
            name, None, "not UTF-8", "另存为 UTF-8 编码", "save it as UTF-8"
        ) from failed


def _parsed(name: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as failed:
        raise DataFileError(
            name,
            None,
            _shown(str(failed)),
            "按提示的行列修改",
            "correct it at that line and column",
        ) from failed
    except RecursionError as failed:
        raise DataFileError(
            name, None, "nested too deeply", "减少嵌套", "nest less"
        ) from failed
    except ValueError as failed:  # Python reads no number of thousands of digits
        raise DataFileError(
            name, None, "a number is too long", "缩短它", "shorten it"
        ) from failed


def secret(path: Path) -> str:
    """The one line of a file that keeps a secret. Raises DataFileError."""
    name = str(path)
    try:
        found = written(path, name).strip()
    except (OSError, ValueError) as failed:
        raise _unreadable(name, failed) from failed
    if not (found and found.isascii() and found.isprintable()):
        raise DataFileError(
            name,
            None,
            "not one line of ASCII",
            "只写一行密钥",
            "write one line into it",
        )
    return found


def _unreadable(name: str, failed: OSError | ValueError) -> DataFileError:
    why = getattr(failed, "strerror", None)
    reason = f"cannot be read: {why}" if why else "cannot be read"
    remedy_zh, remedy_en = "检查文件路径和权限", "check the path and the permissions"
    return DataFileError(name, None, reason, remedy_zh, remedy_en)


def check(name: str, content: dict[str, Any], shape: type[Shape]) -> Shape:
    """Check what a file said. Raises DataFileError about the first mistake."""
    try:
        return shaped(content, shape)
    except ShapeError as wrong:
        where = "".join(
            f"[{step}]" if isinstance(step, int) else f".{step}" for step in wrong.place
        )
        where = _shown(where.removeprefix("."))
        raise DataFileError(
            name, where, wrong.reason, *_remedy(wrong, where)
        ) from wrong


def in_chinese(reason: str) -> str:
    """The same reason; as it is where nobody has said it in Chinese."""
    known = _mistakes()
    for sentence, chinese in known["reasons"].items():
        blanks = _BLANK.sub(r"(?P<\1>.+)", re.escape(sentence))
        if said := re.fullmatch(blanks, reason, re.DOTALL):
            parts = {
                name: _kinds(name, part) for name, part in said.groupdict().items()
            }
            return chinese.format(**parts)
    return reason


def _kinds(name: str, part: str) -> str:
    """What may stand there, or stands there, where a part says that."""
    if name not in ("kind", "found"):
        return part
    called = _mistakes()["kinds"]
    return "或".join(called.get(each, each) for each in part.split(" | "))


@cache
def _mistakes() -> Mapping[str, Mapping[str, str]]:
    return tomllib.loads(_MISTAKES.read_text(encoding="utf-8"))


def _shown(written: str) -> str:
    """Somebody else's words on one line of a terminal."""
    line = "".join(each if each.isprintable() else "?" for each in written)
    return line if len(line) <= LONGEST else f"{line[:60]}…{line[-60:]}"


def _remedy(wrong: ShapeError, where: str) -> tuple[str, str]:
    """What to do, in Chinese and English."""
    if wrong.kind == "missing":
        return "补上这一项", "add it; see reference.toml"
    if wrong.reason == _NO_LIST:
        return f"写成 [[{where}]]", f"write [[{where}]]"
    if wrong.kind == "value":
        return "改为允许的值", "write a value it can have"
    if wrong.near is None:
        return "删除它", "remove it"
    return f"删除它，或改为 {wrong.near}", f"remove it, or write {wrong.near}"
