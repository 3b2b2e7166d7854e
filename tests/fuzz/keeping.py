"""Which inputs are worth keeping: the smallest that together take every step from one line
to the next that is known."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from tests.fuzz.run import CORPUS, ROOT, put

Step = tuple[str, int, int]
OURS = (str(ROOT / "drivers"), str(ROOT / "plugin"))
_BY_CONTENT = re.compile("[0-9a-f]{16}")  # files with other names stay


def keep(name: str, target: Callable[[bytes], None], work: Path) -> None:
    """Choose among what is kept under this name and what is in `work`."""
    kept = CORPUS / name
    kept.mkdir(parents=True, exist_ok=True)
    given = [path.read_bytes() for path in kept.iterdir() if not _found(path)]
    files = [path for path in kept.iterdir() if _found(path)]
    inputs = {path.read_bytes() for path in (*files, *work.iterdir())}
    for path in files:
        path.unlink()
    known: set[Step] = set().union(*(steps(target, raw) for raw in given))
    for raw in sorted(inputs, key=lambda raw: (len(raw), raw)):
        new = steps(target, raw) - known
        if new:
            known |= new
            put(kept, raw)


def _found(path: Path) -> bool:
    return _BY_CONTENT.fullmatch(path.name) is not None


def steps(target: Callable[[bytes], None], raw: bytes) -> set[Step]:
    """The steps from line to line in our code that this input takes."""
    taken: set[Step] = set()
    last: dict[FrameType, int] = {}

    def trace(frame: FrameType, event: str, _: object) -> Any:  # noqa: ANN401 - of sys
        file = frame.f_code.co_filename
        if not file.startswith(OURS):
            return None
        if event == "line":
            taken.add((file, last.get(frame, 0), frame.f_lineno))
            last[frame] = frame.f_lineno
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        target(raw)
    except Exception:  # noqa: BLE001 - what it breaks is the fuzzer's matter
        return set()
    finally:
        sys.settrace(before)
    return taken
