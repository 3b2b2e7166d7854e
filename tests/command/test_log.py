"""`kaqi log`, as a person reads it and as a program does."""

from __future__ import annotations

import json
import logging
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from plugin.commands import log, screen
from plugin.commands.failing import CannotError
from plugin.commands.log import Asked
from plugin.logs import Ring
from tests.command.test_read import kaqi, problem_of
from tests.waiting import WAIT_SECONDS, wait_until

SHANGHAI = timezone(timedelta(hours=8))
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=SHANGHAI)
TRACE = "03d43f3138e74bb4"
BROKEN = b'{"time": "2026-11-23T11:59:00+08:00", "lev'


def said(event: str, level: str = "info", ago: float = 0, **fields: object) -> bytes:
    """One line, so many minutes old."""
    time = (NOW - timedelta(minutes=ago)).isoformat()
    usual = {"time": time, "level": level, "logger": "kaqi.test", "event": event}
    return json.dumps(usual | fields, ensure_ascii=False).encode()


LINES = [
    said("agent.started", ago=100, subject="agent"),
    said("card.mute", ago=50, subject="readers/r-1"),
    said("transaction.changed", ago=10, state="waiting_card", role="medical",
         subject="transactions/t-1", seq=2, trace_id=TRACE),
    said("no answer", "warning", ago=9, code="centre.timeout", trace_id=TRACE),
    said("a job failed", "error", ago=8, error="KeyError", at="pin.py:7"),
    said("apdu", "debug", ago=7, header="20", sw="9000", reader="r-1", trace_id=TRACE),
    said("something new", ago=6, code="nobody.knows"),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder whose log has these lines."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "kaqi.log").write_bytes(b"\n".join([*LINES, b""]))
    return tmp_path


@pytest.fixture
def shows(folder: Path, capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: ANN401
    """What a command shows, in lines."""

    def shown(**asked: Any) -> list[str]:  # noqa: ANN401 - those of Asked
        assert log.run(folder / "logs", "kaqi.log", Asked(**asked), follow=False) == 0
        return capsys.readouterr().out.splitlines()

    return shown


def test_every_line_is_one_in_words(shows: Any) -> None:  # noqa: ANN401
    assert shows() == [
        "11-23 10:20:00  信息  服务已启动",
        "11-23 11:10:00  信息  卡没有反应：readers/r-1",
        "11-23 11:50:00  信息  业务进展：等插卡（医保卡），transactions/t-1"
        f"  [{TRACE}]",
        "11-23 11:51:00  警告  中心没有可信的答复  医保中心没有及时答复。"
        f" (centre.timeout)  [{TRACE}]",
        "11-23 11:52:00  错误  读卡程序出错：KeyError（pin.py:7）",
        f"11-23 11:53:00  详细  卡命令 20，状态字 9000（r-1）  [{TRACE}]",
        "11-23 11:54:00  信息  something new  nobody.knows",
    ]


def test_the_same_in_english(shows: Any) -> None:  # noqa: ANN401
    assert shows(language=screen.ENGLISH)[2:5] == [
        "11-23 11:50:00  info  transaction: waiting for a card (medical card),"
        f" transactions/t-1  [{TRACE}]",
        "11-23 11:51:00  warning  no answer of the centre that can be believed"
        "  The insurance centre did not answer in time."
        f" (centre.timeout)  [{TRACE}]",
        "11-23 11:52:00  error  work at a reader failed: KeyError (pin.py:7)",
    ]


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({"level": "info"}, [0, 1, 2, 3, 4, 6]),
        ({"level": "warning"}, [3, 4]),
        ({"level": "error"}, [4]),
        ({"trace": TRACE}, [2, 3, 5]),
        ({"trace": TRACE, "level": "warning"}, [3]),
        ({"trace": "KeyError"}, []),
        ({"since": NOW - timedelta(minutes=9)}, [3, 4, 5, 6]),
        ({"lines": 2}, [5, 6]),
        ({"lines": 0}, [0, 1, 2, 3, 4, 5, 6]),
        ({"lines": 1, "trace": TRACE}, [5]),
    ],
)
def test_only_the_lines_that_are_asked_for(
    shows: Any,  # noqa: ANN401
    asked: dict[str, Any],
    wanted: list[int],
) -> None:
    found = shows(language=None, **asked)

    assert [line.encode() for line in found] == [LINES[n] for n in wanted]


def test_the_lines_of_files_put_aside_come_before(folder: Path, shows: Any) -> None:  # noqa: ANN401
    for number in (9, 10):
        lines = [said(f"{number}.{each}") for each in range(3)]
        file = folder / "logs" / f"kaqi.log.{number}"
        file.write_bytes(b"\n".join([*lines, b""]))

    found = [json.loads(line)["event"] for line in shows(language=None, lines=11)]

    assert found[:4] == ["9.2", "10.0", "10.1", "10.2"]
    assert found[4:] == [json.loads(line)["event"] for line in LINES]


def test_a_file_that_is_just_put_aside_is_read_once(folder: Path) -> None:
    file = folder / "logs" / "kaqi.log"
    (folder / "logs" / "kaqi.log.1").write_bytes(said("old") + b"\n")
    reading = log.Written(file, to_be_continued=True).newest_first()

    newest = next(reading)
    file.rename(folder / "logs" / "kaqi.log.2")
    older = list(reading)

    assert newest == LINES
    assert older == [[said("old")]]


@pytest.mark.parametrize(
    ("bad", "seen"),
    [
        (BROKEN, BROKEN.decode()),
        (b"null", "null"),
        (b'{"time": 7, "level": "info", "event": "x"}', None),
        (b'{"time": "2026-11-23", "level": "loud", "event": "x"}', None),
        (b"\xff\xfe\x1b[2Jgone", "\N{REPLACEMENT CHARACTER}" * 2 + "?[2Jgone"),
        (said("\x1b[2J"), "11-23 12:00:00  信息  ?[2J"),
    ],
)
def test_a_line_that_is_none_is_shown_as_it_is_and_does_no_harm(
    folder: Path,
    shows: Any,  # noqa: ANN401
    bad: bytes,
    seen: str | None,
) -> None:
    with (folder / "logs" / "kaqi.log").open("ab") as file:
        file.write(bad)

    assert shows(lines=1) == [seen or bad.decode()]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("10m", NOW - timedelta(minutes=10)),
        ("2h", NOW - timedelta(hours=2)),
        ("3d", NOW - timedelta(days=3)),
        ("09:30", datetime(2026, 11, 23, 9, 30, tzinfo=SHANGHAI)),
        ("2026-11-20T09:30+08:00", datetime(2026, 11, 20, 9, 30, tzinfo=SHANGHAI)),
    ],
)
def test_a_moment_can_be_said_in_several_ways(text: str, moment: datetime) -> None:
    assert log.since(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "25:00", "2026-13-01", "999999d"])
def test_what_is_no_moment_is_a_wrong_command(text: str) -> None:
    with pytest.raises(CannotError) as refused:
        log.since(text, NOW)

    assert refused.value.problem.code == "command.usage"


def test_a_console_that_lacks_characters_gets_question_marks(folder: Path) -> None:
    with (folder / "logs" / "kaqi.log").open("ab") as file:
        file.write(said("名字 \U00020bb7 é") + b"\n")
    command = [sys.executable, "-m", "plugin", "log", "--data", str(folder)]
    gbk = {**os.environ, "PYTHONIOENCODING": "gbk"}

    for_people = subprocess.run(
        [*command, "--lang", "zh"], env=gbk, capture_output=True
    )
    for_programs = subprocess.run([*command, "--json"], env=gbk, capture_output=True)

    assert (for_people.returncode, for_people.stderr) == (0, b"")
    shown = for_people.stdout.decode("gbk").splitlines()
    assert shown[0].endswith("信息  服务已启动")
    assert shown[-1].endswith("名字 ? é")
    assert (for_programs.returncode, for_programs.stderr) == (0, b"")
    last = for_programs.stdout.decode("ascii").splitlines()[-1]
    assert json.loads(last)["event"] == "名字 \U00020bb7 é"


@pytest.mark.parametrize(
    ("terminal", "coloured"),
    [({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False), ({"NO_COLOR": "1"}, False)],
)
def test_colours_are_for_terminals_that_have_them(
    folder: Path, terminal: dict[str, str], coloured: bool
) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "plugin", "log", "--data", str(folder), "-n", "4"]
    done = subprocess.run(
        command, stdout=theirs, env={**os.environ, "TERM": "xterm", **terminal}
    )
    os.close(theirs)
    shown = os.read(ours, 65_536)
    os.close(ours)

    assert done.returncode == 0
    assert (b"\x1b[31m" in shown, b"\x1b[0m" in shown) == (coloured, coloured)


def test_without_a_log_there_is_nothing_to_show(tmp_path: Path) -> None:
    done = kaqi("log", "--data", str(tmp_path / "new"))

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_log_that_is_closed_to_us_is_said_to_be(folder: Path) -> None:
    (folder / "logs" / "kaqi.log").unlink()
    (folder / "logs" / "kaqi.log").mkdir()

    done = kaqi("log", "--data", str(folder))

    assert done.returncode == 73
    assert problem_of(done)["code"] == "agent.data_folder"


class Following:
    """`kaqi log --follow` as a process."""

    def __init__(self, folder: Path) -> None:
        command = ["log", "--follow", "--json", "-n", "3", "--data", str(folder)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "plugin", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.overdue = threading.Timer(WAIT_SECONDS, self.process.kill)
        self.overdue.start()

    def next(self, count: int) -> list[str]:
        """The events of the next lines."""
        assert self.process.stdout is not None
        lines = [self.process.stdout.readline() for _ in range(count)]
        return [str(json.loads(line)["event"]) for line in lines]


@pytest.fixture
def following(folder: Path) -> Iterator[Following]:
    started = Following(folder)
    yield started
    started.overdue.cancel()
    started.process.kill()
    started.process.communicate()


def test_followed_lines_come_once_and_in_order_through_any_number_of_files(
    folder: Path, following: Following
) -> None:
    before = following.next(3)
    ring = Ring(folder / "logs" / "kaqi.log", logging.NullHandler(), max_bytes=2_000)
    told = [f"event {number:03}" for number in range(100)]
    for each in told:
        fields = {"name": "kaqi.test", "levelno": 20, "levelname": "INFO", "msg": each}
        ring.emit(logging.makeLogRecord(fields))
    with (folder / "logs" / "kaqi.log").open("ab") as file:
        file.write(said("half a line")[:30])  # what is being written is waited for
        file.flush()
        after = following.next(100)
        file.write(said("half a line")[30:] + b"\n")
    ring.close()
    whole = following.next(1)
    following.process.send_signal(signal.SIGINT)
    rest, complaints = following.process.communicate(timeout=20)

    assert before == [json.loads(line)["event"] for line in LINES[-3:]]
    assert after == told
    assert whole == ["half a line"]
    assert len(list((folder / "logs").glob("kaqi.log.*"))) > 3
    assert (rest, complaints.strip()) == (b"", b"")
    assert following.process.returncode == 130


def test_when_nobody_reads_on_it_ends_quietly(
    folder: Path, following: Following
) -> None:
    following.next(3)
    assert following.process.stdout is not None
    following.process.stdout.close()
    with (folder / "logs" / "kaqi.log").open("ab") as file:
        file.write(said("one more") + b"\n")

    wait_until(lambda: following.process.poll() is not None)

    assert following.process.stderr is not None
    assert following.process.stderr.read() == b""
    assert following.process.returncode == 1  # click's own
    following.process.stdout = None


@pytest.mark.parametrize(
    "command",
    [
        ["doctor"],
        ["read"],
        ["settle"],
        ["activate", "--yes"],
        ["region", "explain", "reference", "--lang", "zh"],
        ["log", "--help"],
    ],
    ids=lambda command: command[0],
)
def test_no_command_fails_on_a_console_of_another_code_page(
    tmp_path: Path, command: list[str]
) -> None:
    settings = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    console = {**os.environ, **settings, "PYTHONIOENCODING": "gbk", "KAQI_LANG": "zh"}

    done = subprocess.run(
        [sys.executable, "-m", "plugin", *command], env=console, capture_output=True
    )

    said_there = (done.stdout + done.stderr).decode("gbk")
    assert said_there
    assert "Error" not in said_there
    assert "agent.failed" not in said_there
