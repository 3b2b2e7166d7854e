"""Another program at the same reader."""

from __future__ import annotations

import subprocess
import sys

ANOTHER_PROGRAM = """
import sys
from smartcard import scard
_, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
how, reader = sys.argv[1:]
exclusive = how == "exclusive"
mode = scard.SCARD_SHARE_EXCLUSIVE if exclusive else scard.SCARD_SHARE_SHARED
code, card, _ = scard.SCardConnect(context, reader, mode, scard.SCARD_PROTOCOL_T0)
if how == "transaction":
    scard.SCardBeginTransaction(card)
if how == "reset":
    scard.SCardDisconnect(card, scard.SCARD_RESET_CARD)
print(code, flush=True)
sys.stdin.read()
"""


class AnotherProgram:
    """Holds the card, `exclusive` or in a `transaction`, until told to let go; or has
    `reset` it."""

    def __init__(self, how: str, reader: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", ANOTHER_PROGRAM, how, reader],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == "0"

    def __enter__(self) -> None:
        return

    def __exit__(self, *_: object) -> None:
        self._process.communicate()
