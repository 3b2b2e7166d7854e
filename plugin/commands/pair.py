"""`kaqi pair`: a token for a client of this machine's agent."""

from __future__ import annotations

import re

from plugin.activation.problem import Problem
from plugin.agent.clients import RESERVED, SCOPES
from plugin.commands import screen, serve
from plugin.commands.failing import CannotError
from plugin.commands.serve import Options

USUAL = ("read", "activate", "identity")
CLIENT = re.compile(r"[0-9A-Za-z._-]{1,40}")


def run(client: str, scopes: tuple[str, ...], options: Options) -> int:
    """Make the token and show it, once. Raises CannotError and DataFolderError."""
    wanted = scopes or USUAL
    wrong = [scope for scope in wanted if scope not in SCOPES]
    if wrong:
        raise CannotError(_usage(f"--scope {wrong[0]}: {', '.join(SCOPES)}"))
    if client in RESERVED or not CLIENT.fullmatch(client):
        raise CannotError(
            _usage(
                f"{client}: 0-9 A-Z a-z . _ -, 1-40, not {' '.join(sorted(RESERVED))}"
            )
        )
    folder = serve.opened_folder(options)
    folder.dedicate(simulated=options.simulate)
    screen.line(folder.pair(client, wanted))
    return 0


def _usage(reason: str) -> Problem:
    return Problem("command.usage", {"reason": reason})
