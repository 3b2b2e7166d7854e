"""What an operation can refuse with stands beside it, and so in the API's description."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import cast

from plugin.api.operation import Operation
from plugin.api.resources import Parts, operations


@cache
def offered() -> tuple[Operation, ...]:
    """Every operation, those of a simulation too; none can be asked."""
    parts = SimpleNamespace(simulated_desk=object())
    return tuple(operations(cast(Parts, parts)))


def unlisted(method: str, path: str, code: str) -> bool:
    """Whether an operation is there that was not supposed to answer this. Not found is
    also what is only in a simulation."""
    if code == "request.not_found":
        return False
    plain = path.partition("?")[0]
    fitting = [
        each
        for each in offered()
        if each.method == method and each.path_pattern.fullmatch(plain)
    ]
    return bool(fitting) and not any(code in each.codes for each in fitting)
