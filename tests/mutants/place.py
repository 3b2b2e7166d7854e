"""The copy of the tree in which mutants live; what they have shown stays there.

mutmut calls every function through a switch, and lets decorated ones be. Here the only
decorator is `property`, so in the copy each is written as the call that it is short for.
"""

from __future__ import annotations

import ast
import fcntl
import os
import shutil
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).parents[2]
PLACE = ROOT / ".mutants"
PACKAGES = ("plugin/activation", "plugin/journal", "plugin/card")
FOLDERS = ("plugin", "drivers", "simulator", "console", "tests")
FILES = ("pyproject.toml", "README.md", "CHANGELOG.md", "Makefile")


def taken() -> TextIO:
    """The copy for us alone, as long as this file is open here or in a program that we
    started. Raises BlockingIOError while another run has it: a tree that is copied anew
    under its tests fails them, and every mutant would look as if it had been noticed."""
    PLACE.mkdir(exist_ok=True)
    lock = (PLACE / "lock").open("w", encoding="ascii")
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.set_inheritable(lock.fileno(), True)
    return lock


def prepared() -> list[Path]:
    """Copy the tree anew; the paths of the modules to change, relative to the copy."""
    unwanted = shutil.ignore_patterns("__pycache__", ".*")
    for name in FOLDERS:
        shutil.rmtree(PLACE / name, ignore_errors=True)
        shutil.copytree(ROOT / name, PLACE / name, ignore=unwanted)
        if name != "plugin":  # beside its modules stands what mutmut knows of them
            shutil.rmtree(PLACE / "mutants" / name, ignore_errors=True)
    for name in FILES:
        shutil.copy2(ROOT / name, PLACE / name)
    found = sorted(path for each in PACKAGES for path in (PLACE / each).glob("*.py"))
    for path in found:
        source = path.read_text(encoding="utf-8")
        path.write_text(with_plain_properties(source), encoding="utf-8")
    return [path.relative_to(PLACE) for path in found]


def with_plain_properties(source: str) -> str:
    """The same module with `name = property(name)` behind each method instead of the
    decorator before it; the lines of the method stay where they are."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.FunctionDef(
                name=name, decorator_list=[ast.Name("property") as before]
            ):
                indent = " " * node.col_offset
                lines[before.lineno - 1] = ""
                lines[(node.end_lineno or node.lineno) - 1] += (
                    f"\n{indent}{name} = property({name})"
                )
            case _:
                pass
    return "\n".join(lines) + "\n"
