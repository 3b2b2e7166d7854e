"""The processes of a benchmark: started, asked, pinned, and always ended."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
ANSWER_SECONDS = 60.0
STOP_SECONDS = 5.0


class Child:
    """A process that answers lines with lines. It is ended on leaving, whatever happened."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        self._name = " ".join(command[-3:])
        self._process = started(
            command, environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, question: str, seconds: float = ANSWER_SECONDS) -> str:
        """One line there, one line back."""
        self.say(question)
        return self.line(seconds)

    def say(self, line: str) -> None:
        """One line there."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended: `line` says so better
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()

    def line(self, seconds: float = ANSWER_SECONDS) -> str:
        """The next line it says. Raises TimeoutError, and ChildProcessError when it has
        ended instead."""
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            raise TimeoutError(f"{self._name}: no answer in {seconds:g} s") from None
        if not line:
            raise ChildProcessError(f"{self._name}: ended with {self._process.wait()}")
        return line.rstrip("\n")

    def close(self) -> None:
        """End it."""
        end(self._process)
        self._listener.join(STOP_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()

    def _listen(self) -> None:
        """Pass its lines on; an empty one says that there are no more."""
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            self._lines.put(line)
        self._lines.put("")


def started(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
) -> subprocess.Popen[str]:
    """A new process. An interrupt from the terminal is for us, who will end it."""
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdin=stdin,
        stdout=stdout,
        text=True,
        start_new_session=True,
    )


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of this package."""
    return [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments]


def end(process: subprocess.Popen[str]) -> None:
    """Ask a process to end, and insist."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def on_one_core() -> Iterator[None]:
    """What starts in here shares one core: twice as fast as waking each other across
    cores, and steady to 3 % instead of 40 %."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def say(text: str) -> None:
    """Progress, beside the table."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
