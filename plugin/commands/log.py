"""`kaqi log`: what the agent has written of itself, in a line for people each."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, convert

from plugin import logs, main
from plugin.activation.problem import Problem
from plugin.api.problems import filled
from plugin.api.ways import Words
from plugin.commands import screen
from plugin.commands.failing import CannotError
from plugin.data_folder import DataFolderError

LEVELS = ("debug", "info", "warning", "error", "critical")
LOOK_AGAIN_SECONDS = 0.25
_AGO = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_COLOURS = {"debug": 2, "warning": 33, "error": 31, "critical": 31}  # ECMA-48, 8.3.117
Number = tuple[int, int]  # of a file: its device's, and its own there
_RESET = "\x1b[0m"


class Asked(Struct, frozen=True, kw_only=True):
    """Which lines, and how: at least this `level`, of this trace, no older than `since`, the
    last `lines` of them (0: all); in a language's words, or as they are (None)."""

    level: str = LEVELS[0]
    trace: str | None = None
    since: datetime | None = None
    lines: int = 50
    language: str | None = screen.CHINESE

    def wants(self, line: bytes) -> bool:
        """Whether to show it; what is no line of ours is shown where all are."""
        if self.trace is not None and self.trace.encode() not in line:
            return False
        said = parsed(line)
        if said is None:
            return (self.level, self.trace, self.since) == (LEVELS[0], None, None)
        return (
            LEVELS.index(said["level"]) >= LEVELS.index(self.level)
            and self.trace in (None, said.get("trace_id"))
            and (self.since is None or _moment(said) >= self.since)
        )


def run(folder: Path, file: str, asked: Asked, *, follow: bool) -> int:
    """Show the lines of one of the logs in `folder`; with `follow` also those to come,
    until interrupted. Raises DataFolderError where it cannot be read."""
    written = Written(folder / file, to_be_continued=follow)
    show = _shown(asked)
    try:
        for line in last(written, asked):
            show(line)
        while follow:
            for line in filter(asked.wants, written.more()):
                show(line)
            threading.Event().wait(LOOK_AGAIN_SECONDS)
    except BrokenPipeError:
        raise
    except OSError as closed:
        raise DataFolderError(folder, closed.strerror or "unusable") from closed
    return 0


def last(written: Written, asked: Asked) -> list[bytes]:
    """The last lines that are wanted; files are read, the newest first, until there are
    enough."""
    found: list[bytes] = []
    for lines in written.newest_first():
        found[:0] = filter(asked.wants, lines)
        if asked.lines and len(found) >= asked.lines:
            return found[-asked.lines :]
    return found


class Written:
    """A log and what was put aside from it. No file is kept open, so that each can be put
    aside while somebody follows (Windows); the one read last is known again by its number
    in the file system."""

    def __init__(self, file: Path, *, to_be_continued: bool) -> None:
        self._file = file
        self._to_be_continued = to_be_continued
        self._known: Number | None = None
        self._offset = 0

    def newest_first(self) -> Iterator[list[bytes]]:
        """The lines of each file that there is now."""
        for file in self._files_back():
            if (found := _content(file, {})) is None:
                continue
            number, content = found
            if self._known is None:
                self._known = number
                yield self._finished(content)
            elif number != self._known:
                yield content.splitlines()

    def _files_back(self) -> Iterator[Path]:
        """What was put aside is looked for after the file was read, so that one that is put
        aside meanwhile is found twice rather than never."""
        yield self._file
        yield from reversed(logs.aside(self._file))

    def more(self) -> Iterator[bytes]:
        """The lines that came since, from whatever file they are in by now."""
        files = [*logs.aside(self._file), self._file]
        numbers = [_number(file) for file in files]
        first = numbers.index(self._known) if self._known in numbers else 0
        for file in files[first:]:
            known = {self._known: self._offset} if self._known else {}
            if (found := _content(file, known)) is None:
                continue
            number, content = found
            if number != self._known:
                self._known, self._offset = number, 0
            yield from self._finished(content)

    def _finished(self, content: bytes) -> list[bytes]:
        """Without the line that is still being written."""
        if self._to_be_continued:
            content = content[: content.rfind(b"\n") + 1]
            self._offset += len(content)
        return content.splitlines()


def _number(file: Path) -> Number | None:
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _content(file: Path, known: Mapping[Number, int]) -> tuple[Number, bytes] | None:
    """Which file it is and what is in it, behind so many bytes that are known; None when it
    was just renamed or removed."""
    try:
        with file.open("rb") as opened:
            found = os.fstat(opened.fileno())
            number = (found.st_dev, found.st_ino)
            opened.seek(known.get(number, 0))
            return number, opened.read()
    except FileNotFoundError:
        return None


def parsed(line: bytes) -> dict[str, Any] | None:
    """A line of ours; None when it is another's, or torn."""
    try:
        said = msgspec.json.decode(line, type=dict[str, Any])
        _moment(said)
        return said if said["level"] in LEVELS and str(said["event"]) else None
    except (ValueError, KeyError, TypeError):
        return None


def _moment(said: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(said["time"]).astimezone()


def since(said: str, now: datetime) -> datetime:
    """A moment: 90s, 10m, 2h or 3d ago, 09:30 today, or a date with or without a time.
    Raises CannotError."""
    try:
        if ago := _AGO.fullmatch(said):
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        if re.fullmatch(r"\d\d:\d\d(:\d\d)?", said):
            return datetime.combine(now.date(), time.fromisoformat(said), now.tzinfo)
        return datetime.fromisoformat(said).astimezone()
    except (ValueError, OverflowError) as wrong:
        reason = {"reason": f"--since {said}: 10m, 2h, 3d, 09:30, 2026-11-23T09:30"}
        raise CannotError(Problem("command.usage", reason)) from wrong


def _shown(asked: Asked) -> Callable[[bytes], None]:
    if asked.language is None:
        return lambda line: screen.passed(line.decode("utf-8", "replace"))
    narrator, coloured = Narrator(asked.language), screen.shows_colours()

    def show(line: bytes) -> None:
        said = parsed(line)
        text = narrator.sentence(said) if said else line.decode("utf-8", "replace")
        plain = "".join(each if each.isprintable() else "?" for each in text)
        colour = _COLOURS.get(said["level"]) if said and coloured else None
        screen.line(f"\x1b[{colour}m{plain}{_RESET}" if colour else plain)

    return show


class Narrator:
    """Says lines in the words of texts/log.toml, and codes in those of the catalogue."""

    def __init__(self, language: str) -> None:
        self._language = language
        self._book = convert(main.texts("log")(), dict[str, dict[str, Words]])
        self._catalogue = main.catalogue()

    def sentence(self, said: Mapping[str, Any]) -> str:
        """When, how grave, what happened, why, and the trace."""
        moment = f"{said['time'][5:10]} {said['time'][11:19]}"
        parts = [moment, self._word("levels", said["level"]), self._event(said)]
        if "trace_id" in said:
            parts.append(f"[{said['trace_id']}]")
        return "  ".join(parts)

    def _event(self, said: Mapping[str, Any]) -> str:
        facts = {name: self._word("values", str(said[name])) for name in said}
        known = self._book["events"].get(said["event"])
        text = filled(self._in(known), facts) if known else said["event"]
        if "code" not in said:
            return text
        entry = self._catalogue.entry(str(said["code"]))
        if entry.code != said["code"]:
            return f"{text}  {said['code']}"
        meant = entry.messages({})
        why = meant.chinese if self._language == screen.CHINESE else meant.english
        return f"{text}  {why} ({said['code']})"

    def _word(self, section: str, value: str) -> str:
        known = self._book[section].get(value)
        return self._in(known) if known else value

    def _in(self, words: Words) -> str:
        return words.zh if self._language == screen.CHINESE else words.en
