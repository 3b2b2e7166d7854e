"""A bug, described for a log without its message: messages may quote what was parsed."""

from __future__ import annotations

import traceback
from pathlib import Path


def described(failed: BaseException) -> dict[str, str]:
    """The class of an exception and the line it came from."""
    frames = traceback.extract_tb(failed.__traceback__)
    at = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
    return {"error": type(failed).__name__, "at": at}
