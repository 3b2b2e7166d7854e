"""`python -m tests.mutants [--sample N] [--seed N] [--jobs N] [PATTERN ...]`: change the
pure rooms and the journal in one place at a time, and see whether the fast tests notice.

A sample is drawn evenly over all the mutants (or those whose names match a pattern, such as
`plugin.card.pin.*`); without `--sample` it is every one, which takes hours. What has been
killed once stays killed as long as its function is the same, so a run that was stopped goes
on where it was; `rm -rf .mutants` forgets all.

A mutant that nobody notices is a survivor: either a test is missing, or it is explained in
`survivors.tsv`. The exit code is 1 when less than 90 % of those that can be noticed are.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path

from tests.mutants import survivors
from tests.mutants.mutant import Mutant, mutants
from tests.mutants.place import PLACE, prepared, taken
from tests.mutants.survivors import Kind, Survivor

GATE = 0.90
SEED = 1
BATCH = 500  # so that one who waits for all of them hears something
WORLDS = "100"  # of the simulation, where `make test` has thousands
# What mutmut says of a mutant somebody noticed; a loop that does not end is noticed too.
KILLED = frozenset({"killed", "timeout", "segfault"})


def say(text: str = "") -> None:
    """To standard output, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def drawn(from_all: list[Mutant], size: int, seed: int) -> list[Mutant]:
    """So many of them, evenly: one from each of as many equal stretches of the code."""
    if not 0 < size < len(from_all):
        return from_all
    chance = random.Random(seed)
    stretch = len(from_all) / size
    return [from_all[int((at + chance.random()) * stretch)] for at in range(size)]


def mutmut(*arguments: str) -> subprocess.CompletedProcess[str]:
    """One run of mutmut in the copy. Raises CalledProcessError, after what it said."""
    done = subprocess.run(
        [Path(sys.executable).with_name("mutmut"), *arguments],
        cwd=PLACE,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        close_fds=False,  # it has the place as long as it runs, whatever becomes of us
        env={**os.environ, "KAQI_SEEDS": WORLDS, "PYTHONUTF8": "1"},
    )
    if done.returncode:
        say(done.stdout[-4_000:] + done.stderr[-4_000:])
    done.check_returncode()
    return done


def verdicts() -> dict[str, str]:
    """What became of each mutant so far, by name."""
    lines = mutmut("results", "--all", "true").stdout.splitlines()
    told = (line.strip().partition(": ") for line in lines)
    return {name: verdict for name, _, verdict in told if verdict}


def tried(chosen: list[Mutant], jobs: int) -> dict[str, str]:
    """The verdict on each. Those killed before are not tried again."""
    before = verdicts()
    left = [each.name for each in chosen if before.get(each.name) not in KILLED]
    say(f"{len(chosen) - len(left)} known from before, {len(left)} to try")
    for at in range(0, len(left), BATCH):
        mutmut("run", "--max-children", str(jobs), *left[at : at + BATCH])
        say(f"{min(at + BATCH, len(left))} tried")
    return verdicts()


def told(
    chosen: list[Mutant],
    verdict: Mapping[str, str],
    explained: Mapping[tuple[str, str, str], Survivor],
) -> bool:
    """Say what became of them, package by package; whether the gate is reached."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    unexplained: list[Mutant] = []
    for each in chosen:
        found = explained.get((each.file, each.function, each.change))
        if verdict.get(each.name) in KILLED:
            fate = "killed"
        elif found is None:
            fate = "unexplained"
            unexplained.append(each)
        else:
            fate = found.kind.value
        counts[each.package][fate] += 1
    for package, fates in sorted(counts.items()):
        _row(package, fates)
    rate = _row("all", sum(counts.values(), Counter[str]()))
    if unexplained:
        say("\nnobody noticed, and nobody has explained:")
    for each in unexplained:
        say(survivors.as_line(each))
    return rate >= GATE


def _row(name: str, fates: Counter[str]) -> float:
    """One line of the table; returns how many of the noticeable were noticed."""
    every, killed = fates.total(), fates["killed"]
    noticeable = every - fates[Kind.EQUIVALENT]
    rate = killed / noticeable if noticeable else 1.0
    rest = ", ".join(
        f"{number} {fate}" for fate, number in sorted(fates.items()) if fate != "killed"
    )
    say(f"{name:20} {killed:5} of {every:5} killed  {rate:6.1%}  ({rest or 'all'})")
    return rate


def main(arguments: list[str]) -> int:
    """Draw, try and tell; the exit code is 1 when too few were noticed."""
    parser = argparse.ArgumentParser(prog="tests.mutants", description=__doc__)
    parser.add_argument("patterns", nargs="*", metavar="PATTERN")
    parser.add_argument("--sample", type=int, default=0, metavar="N")
    parser.add_argument("--seed", type=int, default=SEED, metavar="N")
    parser.add_argument("--jobs", type=int, default=1, metavar="N")
    asked = parser.parse_args(arguments)
    with taken():
        return 0 if judged(asked) else 1


def judged(asked: argparse.Namespace) -> bool:
    """The run itself; whether the gate is reached."""
    every = [
        mutant
        for path in prepared()
        for mutant in mutants(path, (PLACE / path).read_text(encoding="utf-8"))
        if not mutant.is_wording
    ]
    explained = survivors.read()
    for file, function, change in survivors.gone(explained, every):
        say(f"explained, but not there any more: {file} {function}: {change}")
    matching = [
        each
        for each in every
        if not asked.patterns
        or any(fnmatch(each.name, pattern) for pattern in asked.patterns)
    ]
    chosen = drawn(matching, asked.sample, asked.seed)
    say(f"{len(chosen)} of {len(matching)} mutants, seed {asked.seed}")
    return told(chosen, tried(chosen, asked.jobs), explained)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
