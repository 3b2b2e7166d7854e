"""`kaqi doctor`: is everything there, and what to do about what is not."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator

import apsw
from msgspec import to_builtins

from plugin import __version__, main
from plugin.activation.problem import Problem
from plugin.agent import browser_policy, doctor, drop_box
from plugin.agent.doctor import Finding
from plugin.agent.installed_policies import installed
from plugin.agent.space import Space
from plugin.api.server import holder_of
from plugin.commands import screen, serve
from plugin.commands.failing import CannotError, problem_of
from plugin.commands.restore import rescue_of
from plugin.commands.serve import Options
from plugin.data_folder import DataFolderError, JournalKeyError
from plugin.journal.port import JournalError, JournalInUseError
from plugin.journal.rescue import Condition
from plugin.journal.safe import SafeModeError

ALL_WELL, SOMETHING_IS_WRONG = 0, 1
SQLITE_NEEDED = (3, 51, 3)


def run(options: Options, *, as_json: bool) -> int:
    """Examine everything, show it, and fail when something required is wrong."""
    found = list(findings(options))
    if as_json:
        catalogue, titles = main.catalogue(), main.checks()
        screen.json_line(
            [
                {
                    "name": each.name,
                    "title": to_builtins(titles.texts("title", each.name)),
                    "ok": each.ok,
                    "required": each.required,
                    "detail": each.detail,
                    "problem": catalogue.body(each.problem) if each.problem else None,
                }
                for each in found
            ]
        )
    else:
        for each in found:
            _show(each)
    well = all(each.ok or not each.required for each in found)
    return ALL_WELL if well else SOMETHING_IS_WRONG


def _show(found: Finding) -> None:
    mark = "✓" if found.ok else ("✗" if found.required else "!")
    title: dict[str, str] = to_builtins(main.checks().texts("title", found.name))
    screen.line(f"{mark} {screen.said(title)}  {found.detail}")
    if found.problem is not None:
        for text in screen.sentences(main.catalogue().body(found.problem)):
            screen.line(f"    {text}")


def findings(options: Options) -> Iterator[Finding]:
    """Everything that can be examined from outside."""
    yield _program()
    yield _database()
    yield _algorithms()
    yield from _data_folder(options)
    yield from _disk(options)
    yield from _journal(options)
    try:
        settings, profile = serve.read_settings(options)
    except CannotError as failed:
        yield from doctor.readers({"pcsc": main.pcsc_readers()}, None)
        yield Finding(name="settings", required=True, problem=failed.problem)
        return
    directories = main.real_readers(settings)
    yield from doctor.readers(directories, settings.psam_reader)
    for directory in directories.values():
        directory.close()
    detail = f"{settings.institution.code} {profile.label}"
    yield Finding(name="settings", required=True, detail=detail)
    yield _port(settings.port if options.port is None else options.port)
    policy = browser_policy.finding(settings.origins, installed())
    if policy is not None:
        yield policy
    centre = main.centre_of(profile, settings)
    yield doctor.centre(centre)
    centre.close()


def _data_folder(options: Options) -> Iterator[Finding]:
    try:
        folder = serve.opened_folder(options)
    except DataFolderError as failed:
        yield Finding(name="data_folder", required=True, problem=problem_of(failed))
        return
    yield Finding(name="data_folder", required=True, detail=str(folder.path))
    yield from drop_box.findings(folder.pairing_requests)


def _disk(options: Options) -> Iterator[Finding]:
    try:
        folder = serve.opened_folder(options)
    except DataFolderError:  # said already
        return
    yield Space(folder.path, ballast=False).finding()


def _journal(options: Options) -> Iterator[Finding]:
    """Whether an agent could use it. One that runs does."""
    try:
        folder = serve.opened_folder(options)
        if not folder.has_a_key:  # nor a journal
            return
        with rescue_of(folder) as rescue:
            condition = rescue.condition()
    except JournalInUseError:
        yield doctor.journal(None)
    except JournalError as failed:
        yield doctor.journal(problem_of(failed))
    except DataFolderError as failed:
        if failed.code == JournalKeyError.code:  # the others are said already
            yield doctor.journal(problem_of(failed))
    else:
        sound = condition is Condition.SOUND
        yield doctor.journal(None if sound else Problem(SafeModeError.code))


def _program() -> Finding:
    detail = f"kaqi {__version__}, Python {platform.python_version()}"
    return Finding(name="program", required=True, detail=detail)


def _database() -> Finding:
    version = tuple(int(part) for part in apsw.sqlite_lib_version().split(".")[:3])
    part = {"part": f"SQLite {'.'.join(map(str, SQLITE_NEEDED))}"}
    problem = None if version >= SQLITE_NEEDED else Problem("agent.part_missing", part)
    detail = apsw.sqlite_lib_version()
    return Finding(name="sqlite", required=True, problem=problem, detail=detail)


def _algorithms() -> Finding:
    has_sm3 = "sm3" in hashlib.algorithms_available
    problem = None if has_sm3 else Problem("agent.part_missing", {"part": "SM3"})
    return Finding(name="sm3", required=True, problem=problem)


def _port(port: int) -> Finding:
    holder = holder_of(port)
    detail = f"{port} {holder or 'free'}"
    return Finding(name="port", required=False, detail=detail)
