"""`python -m tests.fuzz [NAME ...] [--seconds N] [--keep] [--replay FILE_OR_HEX]`: fuzz the
targets one after the other, each in a process of its own.

The last line of each says how many inputs it ran, how many a second, how much of the code
they reached and how much memory the process took. An input that breaks a promise is printed
in hexadecimal; `--replay` runs it again, here. With `--keep`, the smallest of the inputs
that reach all that was reached are kept in `corpus/`.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from pathlib import Path

from tests.fuzz.keeping import keep
from tests.fuzz.run import fuzz
from tests.fuzz.seeds import SEEDS
from tests.fuzz.targets import TARGETS
from tests.fuzz.watch import watched

SECONDS = 60


def say(text: str) -> None:
    """To standard output, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def fuzzed(name: str, seconds: int, *, keeping: bool) -> bool:
    """One target; whether all went well."""
    target = TARGETS[name]
    with tempfile.TemporaryDirectory(prefix="kaqi-corpus-") as folder:
        work = Path(folder)
        entry = f"{target.__module__}:{target.__name__}"
        done = fuzz(entry, seconds, work=work, seeds=SEEDS[name](), kept=name)
        if done.trouble is not None:
            say(done.said)
        if done.found is not None:
            raw = shlex.quote(done.found.hex())
            say(f"replay: python -m tests.fuzz {name} --replay {raw}")
        if keeping:
            keep(name, target, work)
    say(f"{name:14}{done}")
    return done.trouble is None


def replayed(name: str, source: str) -> None:
    """One input; raises what it raises."""
    path = Path(source)
    raw = path.read_bytes() if path.is_file() else bytes.fromhex(source)
    watched(TARGETS[name])(raw)
    say(f"{name}: {len(raw)} bytes, ok")


def main(arguments: list[str]) -> int:
    """Fuzz, or replay; the exit code is 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--replay", metavar="FILE_OR_HEX")
    asked = parser.parse_args(arguments)
    names = asked.names or list(TARGETS)
    if unknown := set(names) - set(TARGETS):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    if asked.replay is not None:
        for name in names:
            replayed(name, asked.replay)
        return 0
    results = [fuzzed(name, asked.seconds, keeping=asked.keep) for name in names]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
