"""`kaqi pair`: a token for a client of this machine's agent."""

from __future__ import annotations

import re
from pathlib import Path

from plugin.activation.problem import Problem
from plugin.commands import screen, serve
from plugin.commands.serve import CannotServeError, Options
from plugin.data_folder import SCOPES

USUAL = ("read", "activate", "identity")
CLIENT = re.compile(r"[0-9A-Za-z._-]{1,40}")
USAGE = 2


def run(client: str, scopes: tuple[str, ...], data: Path | None) -> int:
    """Make the token and show it, once."""
    wanted = scopes or USUAL
    wrong = [scope for scope in wanted if scope not in SCOPES]
    if wrong or not CLIENT.fullmatch(client):
        reason = f"{wrong[0] if wrong else client}: {', '.join(SCOPES)}"
        screen.complain(Problem("command.usage", {"reason": reason}), as_json=False)
        return USAGE
    try:
        folder = serve.opened_folder(Options(data=data))
    except CannotServeError as failed:
        screen.complain(failed.problem, as_json=False)
        return serve.EXIT_CODES[failed.problem.code]
    screen.line(folder.pair(client, wanted))
    return 0
