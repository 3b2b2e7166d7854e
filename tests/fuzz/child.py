"""One target under libFuzzer, in this process: `python -m tests.fuzz.child MODULE:FUNCTION
[FLAG ...] [FOLDER ...]`. It ends by itself, with what libFuzzer says of it."""

from __future__ import annotations

import sys
from importlib import import_module

import atheris

from tests.fuzz.watch import watched

INSTRUMENTED = ["drivers", "plugin"]


def main(name: str, arguments: list[str]) -> None:
    """Never returns."""
    module, _, function = name.partition(":")
    with atheris.instrument_imports(include=INSTRUMENTED):
        target = getattr(import_module(module), function)
    atheris.Setup([name, *arguments], watched(target))
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
