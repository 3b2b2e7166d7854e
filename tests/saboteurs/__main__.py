"""`python -m tests.saboteurs [--fast] [NAME ...]`: let them in, two at a time.

Each is a patch in this folder. Its first lines say which promise it breaks and which
tests must notice:

    # breaks: A3, write-ahead
    # noticed by: tests/simulation
    # fast

It is applied to a copy of the tree; the tests run there, and must fail.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.matrix import noted

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent
COPIED = (
    *("plugin", "drivers", "simulator", "console", "examples", "tests"),
    *("pyproject.toml", "README.md"),
)
TIMEOUT = 600
AT_ONCE = 2  # each in a copy of its own
_QUIETLY = {"PYTHONDONTWRITEBYTECODE": "1", noted.FOLDER: ""}  # none of it is noted
FAILED = 1  # pytest's code for "tests ran, and some failed"


@dataclass(frozen=True)
class Saboteur:
    """One patch, what it breaks and who must notice."""

    name: str
    breaks: str
    noticed_by: tuple[str, ...]
    fast: bool
    patch: Path


def read(patch: Path) -> Saboteur:
    """A saboteur from its file. Raises ValueError when its head is incomplete."""
    head = patch.read_text(encoding="utf-8").partition("\n--- ")[0]
    breaks = re.search(r"^# breaks: (.+)$", head, re.MULTILINE)
    noticed_by = re.search(r"^# noticed by: (.+)$", head, re.MULTILINE)
    if breaks is None or noticed_by is None:
        raise ValueError(f"{patch.name} does not say what it breaks and who notices")
    return Saboteur(
        name=patch.stem,
        breaks=breaks[1],
        noticed_by=tuple(noticed_by[1].split()),
        fast="# fast" in head,
        patch=patch,
    )


def all_saboteurs() -> list[Saboteur]:
    """Every one in the folder, by name."""
    return [read(patch) for patch in sorted(FOLDER.glob("*.patch"))]


def let_in(saboteur: Saboteur) -> str | None:
    """Apply one and run its tests; returns what is wrong, None when it was noticed."""
    with tempfile.TemporaryDirectory(prefix="kaqi-saboteur-") as folder:
        place = Path(folder)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                unwanted = shutil.ignore_patterns("__pycache__", ".*")
                shutil.copytree(source, place / name, ignore=unwanted)
            else:
                shutil.copy(source, place / name)
        applied = subprocess.run(
            ["patch", "--strip=1", "--forward", "--fuzz=0", "--silent"],
            cwd=place,
            stdin=saboteur.patch.open("rb"),
            capture_output=True,
            text=True,
            check=False,
        )
        if applied.returncode:
            return f"the patch does not apply: {applied.stdout.strip()}"
        return _verdict(saboteur, place)


def _verdict(saboteur: Saboteur, place: Path) -> str | None:
    tests = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-x", "--no-header"),
            *("-p", "no:cacheprovider", *saboteur.noticed_by),
        ],
        cwd=place,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
        env={**os.environ, **_QUIETLY, "PYTHONPATH": str(place)},
    )
    if tests.returncode == FAILED:
        return None
    if tests.returncode == 0:
        return "nobody noticed"
    return f"the tests did not run: {tests.stdout.strip()[-400:]}"


def _timed(saboteur: Saboteur) -> tuple[str | None, float]:
    began = time.monotonic()
    trouble = let_in(saboteur)
    return trouble, time.monotonic() - began


def main(arguments: list[str]) -> int:
    """Let them in; the exit code is 1 when one got away."""
    names = {each for each in arguments if not each.startswith("-")}
    chosen = [
        each
        for each in all_saboteurs()
        if (not names or each.name in names)
        and (each.fast or "--fast" not in arguments)
    ]
    escaped = 0
    with ThreadPoolExecutor(AT_ONCE) as visits:
        for each, (trouble, took) in zip(
            chosen, visits.map(_timed, chosen), strict=True
        ):
            escaped += trouble is not None
            verdict = trouble or "caught"
            said = f"{each.name:32} {took:5.1f} s  {verdict}  ({each.breaks})\n"
            sys.stdout.write(said)
            sys.stdout.flush()
    sys.stdout.write(f"{len(chosen) - escaped} of {len(chosen)} saboteurs caught\n")
    return 1 if escaped or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
