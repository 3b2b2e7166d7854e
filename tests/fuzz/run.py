"""A target in a child process: started, bounded, and what came of it."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"
MAX_LENGTH = 4096
HANG_SECONDS = 2
RSS_LIMIT_MIB = 384
GROWTH_LIMIT_MIB = 64
GRACE_SECONDS = 60  # to start, to run the first inputs, and to end
_STATUS = re.compile(
    r"^#(\d+)\s+\w+ *(?:cov: (\d+))?.* exec/s: (\d+) rss: (\d+)Mb", re.MULTILINE
)
_FOUND = re.compile("crash-|timeout-|oom-|leak-")
_CAUSES = (
    re.compile(r"=== Uncaught Python exception: ===\n(.+)"),
    re.compile(r"ERROR: libFuzzer: (.+)"),
)


@dataclass(frozen=True, slots=True)
class Status:
    """One of libFuzzer's lines."""

    executions: int
    coverage: int
    per_second: int
    peak_mib: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fuzzed:
    """What came of it. `trouble` is what went wrong, `found` the input that made it."""

    first: Status
    last: Status
    trouble: str | None
    found: bytes | None
    said: str

    def __str__(self) -> str:
        last = self.last
        return (
            f"{last.executions:>10,} executions {last.per_second:>7,}/s"
            f" {last.coverage:>5} covered {self.first.peak_mib:>4} ->"
            f" {last.peak_mib} MiB  {self.trouble or 'ok'}"
        )


def fuzz(
    entry: str, seconds: int, *, work: Path, seeds: Iterable[bytes] = (), kept: str = ""
) -> Fuzzed:
    """Fuzz MODULE:FUNCTION for so long. `work` takes the first inputs and those that are
    found on the way; what is kept under the name `kept` is where it begins as well."""
    for seed in seeds:
        put(work, seed)
    with tempfile.TemporaryDirectory(prefix="kaqi-fuzz-") as artifacts:
        folders = [work, CORPUS / kept] if kept and (CORPUS / kept).exists() else [work]
        command = (
            *(sys.executable, "-m", "tests.fuzz.child", entry),
            f"-max_total_time={seconds}",
            f"-max_len={MAX_LENGTH}",
            f"-timeout={HANG_SECONDS}",
            f"-rss_limit_mb={RSS_LIMIT_MIB}",
            f"-artifact_prefix={artifacts}/",
            *map(str, folders),
        )
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=seconds + GRACE_SECONDS,
            )
        except subprocess.TimeoutExpired as endless:
            return _judged(endless.output or b"", None, None)
        left = [path for path in Path(artifacts).iterdir() if _FOUND.match(path.name)]
        found = left[0].read_bytes() if left else None
        return _judged(done.stdout, done.returncode, found)


def _judged(output: bytes, code: int | None, found: bytes | None) -> Fuzzed:
    said = output.decode(errors="replace")
    lines = [Status(*(int(n or 0) for n in each)) for each in _STATUS.findall(said)]
    first, last = (lines[0], lines[-1]) if lines else (Status(0, 0, 0, 0),) * 2
    trouble = next(_troubles(code, said, first, last), None)
    return Fuzzed(first=first, last=last, trouble=trouble, found=found, said=said)


def _troubles(
    code: int | None, said: str, first: Status, last: Status
) -> Iterator[str]:
    """What went wrong, the cause first; without a code, it had to be ended."""
    if code is None:
        yield "it did not end"
    if code:
        yield from (cause[1] for each in _CAUSES if (cause := each.search(said)))
        yield f"it ended with {code}"
    if last.peak_mib - first.peak_mib > GROWTH_LIMIT_MIB:
        yield "memory grew"
    if not last.executions:
        yield "nothing was run"


def put(folder: Path, raw: bytes) -> None:
    """An input as a file."""
    (folder / sha256(raw).hexdigest()[:16]).write_bytes(raw)
