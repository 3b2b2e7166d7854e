"""The logs: what a line may hold, where it is kept, and that nobody is hurt by it."""

from __future__ import annotations

import ast
import json
import logging
import re
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PosixPath
from typing import Any, get_args

import pytest

from drivers.iso7816.apdu import CommandApdu, ResponseApdu
from drivers.trace import shown
from plugin import logs, main
from plugin.activation import desk
from plugin.activation.desk import Outcome
from plugin.activation.region import Role
from plugin.activation.saga import ActivationState
from plugin.agent.failure import described
from plugin.logs import FIELDS, JsonLines, Ring

ROOT = Path(__file__).parents[2]
KIND = re.compile(r"[a-z]+\.[a-z_]+")
LINE = 100  # more bytes than the shortest line has
USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class Screen(logging.Handler):
    """What standard error would be told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(record.getMessage())


class HeldFile(PosixPath):
    """A file that another program holds open, on a system that then renames none."""

    is_held = True

    def rename(self, target: object) -> HeldFile:
        if type(self).is_held:
            raise PermissionError(32, "used by another process")
        return type(self)(super().rename(target))  # type: ignore[arg-type]


def record(event: str, name: str = "kaqi.test", **fields: object) -> logging.LogRecord:
    said = {"name": name, "levelno": 20, "levelname": "INFO", "msg": event}
    return logging.makeLogRecord(said | fields)


def line(event: str, name: str = "kaqi.test", **fields: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        JsonLines().format(record(event, name, **fields))
    )
    return found


def events(*files: Path) -> list[str]:
    lines = [each for f in files for each in f.read_text("utf-8").splitlines()]
    return [json.loads(each)["event"] for each in lines]


def fill(ring: Ring, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        ring.emit(record(f"event {number:04}"))


# What a line holds


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("Invalid HTTP request received.", "Invalid HTTP request received."),
        ("Exception in callback told('林试一')", "Exception in callback told"),
        ("Task exception was never retrieved\nfuture: <Task 林试一>", "Task exception"),
        ("林试一 is not a number", ""),
    ],
)
def test_of_what_a_library_says_only_plain_words_are_kept(said: str, kept: str) -> None:
    event = line(said, "asyncio")["event"]

    assert event.startswith(kept)
    assert "林" not in event
    assert len(event) <= 80


def test_of_an_exception_only_its_class_and_its_place_are_kept() -> None:
    failed = ValueError("林试一")

    said = line("failed", "uvicorn.error", exc_info=(ValueError, failed, None))

    assert said["error"] == "ValueError"
    assert "林" not in json.dumps(said, ensure_ascii=False)


PIN_COMMANDS = ["00200082", "00240082", "002C0082", "805E0100"]


@pytest.mark.parametrize("header", PIN_COMMANDS)
def test_of_a_pin_command_only_its_ins_and_the_status_word_are_shown(
    header: str,
) -> None:
    command = CommandApdu.parse(bytes.fromhex(header + "03123456"))

    found = shown(command, ResponseApdu.parse(bytes.fromhex("63C2")))

    assert found == {"header": header[2:4], "sw": "63C2"}


def test_of_another_command_the_header_and_the_lengths_are_shown() -> None:
    command = CommandApdu.parse(bytes.fromhex("00A4040002AABB"))

    found = shown(command, ResponseApdu.parse(bytes.fromhex("6F10329000")))

    assert found == {"header": "00A40400", "sent": 2, "received": 3, "sw": "9000"}


# Where it is kept


def test_a_full_file_is_put_aside_under_the_next_number(tmp_path: Path) -> None:
    ring = Ring(tmp_path / "kaqi.log", Screen(), max_bytes=10 * LINE, kept=4)
    fill(ring, 200)
    ring.close()

    aside = logs.aside(tmp_path / "kaqi.log")
    told = events(*aside, tmp_path / "kaqi.log")
    numbers = [logs.number_of(each) for each in aside]
    assert len(aside) == 3
    assert numbers == list(range(numbers[0], numbers[0] + 3))
    assert numbers[0] > 9  # ten is newer than nine
    assert told == [f"event {number:04}" for number in range(200 - len(told), 200)]


def test_a_new_start_goes_on_with_the_numbers(tmp_path: Path) -> None:
    for first in (0, 20):
        ring = Ring(tmp_path / "kaqi.log", Screen(), max_bytes=LINE, kept=100)
        fill(ring, 20, first)
        ring.close()

    told = events(*logs.aside(tmp_path / "kaqi.log"), tmp_path / "kaqi.log")
    assert told == [f"event {number:04}" for number in range(40)]


def test_a_file_that_somebody_holds_grows_until_it_can_be_put_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = HeldFile(tmp_path / "kaqi.log")
    monkeypatch.setattr(logs, "TRY_AGAIN_BYTES", LINE)
    ring = Ring(held, Screen(), max_bytes=2 * LINE)
    fill(ring, 20)
    while_held = events(held)
    monkeypatch.setattr(HeldFile, "is_held", False)
    fill(ring, 20, first=20)
    ring.close()

    assert while_held == [f"event {number:04}" for number in range(20)]
    told = events(*logs.aside(held), held)
    assert len(logs.aside(held)) > 1
    assert told == [f"event {number:04}" for number in range(40)]


def test_lines_that_cannot_be_written_are_counted_and_told_of(tmp_path: Path) -> None:
    (tmp_path / "kaqi.log").mkdir()
    screen = Screen()
    ring = Ring(tmp_path / "kaqi.log", screen)
    fill(ring, 3)
    (tmp_path / "kaqi.log").rmdir()
    fill(ring, 2, first=3)
    ring.close()

    assert screen.told == ["lines could not be written"]
    lines = (tmp_path / "kaqi.log").read_text("utf-8").splitlines()
    told = [(json.loads(each)["event"], json.loads(each).get("lost")) for each in lines]
    wanted = [("event 0003", None), ("lines could not be written", 3)]
    assert told == [*wanted, ("event 0004", None)]


def test_a_full_disk_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "kaqi.log").symlink_to("/dev/full")
    screen = Screen()
    ring = Ring(tmp_path / "kaqi.log", screen)

    fill(ring, 1_000)
    ring.close()

    assert screen.told == ["lines could not be written"]


def test_half_a_character_is_written_somehow(tmp_path: Path) -> None:
    ring = Ring(tmp_path / "kaqi.log", Screen())
    ring.emit(record("read \ud83d"))
    ring.close()

    assert len((tmp_path / "kaqi.log").read_bytes().splitlines()) == 1


@pytest.fixture
def configured(tmp_path: Path) -> Iterator[Path]:
    close = logs.configure(tmp_path)
    yield tmp_path
    close()


def test_what_is_audited_is_kept_apart_from_all_the_rest(configured: Path) -> None:
    ours = logging.getLogger("kaqi.requests")
    for event in ("request", "card.inserted", "transaction.completed"):
        ours.info(event)
    ours.debug("request")  # one that only reads

    assert events(configured / "audit.log") == ["request", "transaction.completed"]
    told = events(configured / "kaqi.log")
    assert told == ["request", "card.inserted", "transaction.completed"]


def test_a_thread_that_fails_is_logged_without_what_it_said(configured: Path) -> None:
    failed = ValueError("林试一")

    logs.thread_failed(threading.ExceptHookArgs((ValueError, failed, None, None)))

    written = (configured / "kaqi.log").read_text("utf-8")
    assert json.loads(written)["error"] == "ValueError"
    assert "林" not in written


# Every call in the source

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def sources() -> tuple[ast.Module, ...]:
    """Everything that runs on a till."""
    files = [f for room in ("plugin", "drivers") for f in (ROOT / room).rglob("*.py")]
    return tuple(ast.parse(file.read_text("utf-8")) for file in files)


def calls(within: ast.AST) -> Iterator[ast.Call]:
    return (each for each in ast.walk(within) if isinstance(each, ast.Call))


def is_logging(call: ast.Call) -> bool:
    match call.func:
        case ast.Attribute(
            value=ast.Name(id="_log"),
            attr="debug" | "info" | "warning" | "error" | "log",
        ):
            return True
        case _:
            return False


def is_telling(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr in ("tell", "_tell")


def texts_in(said: ast.AST) -> set[str]:
    return {
        each.value
        for each in ast.walk(said)
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    }


def keys_of(call: ast.Call, function: ast.AST) -> set[str]:
    """The fields a call gives: of the dicts in what it tells or logs, and of those that its
    function makes under the names it uses."""
    extra = [each.value for each in call.keywords if each.arg == "extra"]
    extra += call.args[1:] if is_telling(call) else []
    names = {n.id for e in extra for n in ast.walk(e) if isinstance(n, ast.Name)}
    keys: list[ast.expr | None] = []
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]) if name in names:
                extra.append(node.value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value) if (
                name in names
            ):
                extra.append(value)
            case ast.Subscript(value=ast.Name(id=name), slice=key) if name in names:
                keys.append(key)
    dicts = (d for e in extra for d in ast.walk(e) if isinstance(d, ast.Dict))
    keys += [key for each in dicts for key in each.keys]
    return set().union(*(texts_in(key) for key in keys if key is not None))


def test_every_field_that_is_logged_is_allowed() -> None:
    functions = [
        node
        for source in sources()
        for node in ast.walk(source)
        if isinstance(node, FUNCTIONS)
    ]
    given = [
        keys_of(call, each)
        for each in functions
        for call in calls(each)
        if is_logging(call) or is_telling(call)
    ]
    made = described(ValueError()).keys()

    assert set().union(*given) - FIELDS == set()
    assert {"reader", "trace_id", "ms", "code"} <= set().union(*given)
    assert made <= FIELDS
    assert not FIELDS & USUAL  # logging would refuse them


def test_what_is_logged_is_named_and_never_put_together() -> None:
    put_together = [
        ast.unparse(call)
        for source in sources()
        for call in filter(is_logging, calls(source))
        for said in call.args[:2]
        if isinstance(said, ast.JoinedStr | ast.BinOp | ast.Call)
    ]

    assert put_together == []


def test_every_event_has_its_words() -> None:
    known = main.texts("log")()["events"]
    said = set()
    for source in sources():
        for call in calls(source):
            if is_logging(call):
                said |= set().union(*(texts_in(each) for each in call.args[:2]))
            elif is_telling(call):
                plain = [e for e in call.args if not isinstance(e, ast.Dict)]
                said |= {t for e in plain for t in texts_in(e) if KIND.fullmatch(t)}

    assert said - known.keys() == set()
    assert len(said) > 40
    for words in known.values():
        assert words["zh"]
        assert words["en"]


def test_every_state_role_and_outcome_has_its_words() -> None:
    states = {each.name for each in get_args(desk.State)}
    known = main.texts("log")()["values"].keys()

    assert known == states | set(Role) | set(Outcome) | set(ActivationState)
