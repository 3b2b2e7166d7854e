"""The way into the console: a code that works once and soon, for a token that lives in
memory only. Decides on the deciding thread; `client` is asked from any.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from random import Random

from msgspec import Struct

from plugin.activation.problem import Problem
from plugin.agent.service import Client, ProblemError

CONSOLE = "console"
CODE_SECONDS = 60
CODE_SECONDS_AT_MOST = 3_600
CODES_AT_MOST = 16
SESSIONS_AT_MOST = 8
_BYTES = 32


class Code(Struct):
    """One code, by when it must be used (milliseconds), and what it opened: the digest of a
    token."""

    until: int
    opened: str | None = None


class Console:
    """Codes and the sessions they open, each known by its digest. `ticks` are
    milliseconds."""

    def __init__(
        self, *, ticks: Callable[[], int], random: Random, scopes: frozenset[str]
    ) -> None:
        self._ticks = ticks
        self._random = random
        self._scopes = scopes
        self._codes: dict[str, Code] = {}
        self._sessions: dict[str, Client] = {}
        self._names: dict[str, str] = {}  # what a token begins with, and its digest

    def code(self, seconds: int = CODE_SECONDS) -> str:
        """A new code, good for so long."""
        self._forget_late_codes()
        code = self._random.randbytes(_BYTES).hex()
        self._codes[_digest(code)] = Code(self._ticks() + seconds * 1000)
        _keep_newest(self._codes, CODES_AT_MOST)
        return code

    def open(self, code: str, origin: str) -> tuple[str, Client]:
        """A token for a page of this origin, and whose it is. Raises ProblemError:
        console.code_void; when the code has been used before, somebody has overheard it, and
        what it opened is closed."""
        self._forget_late_codes()
        found = self._codes.get(_digest(code))
        if found is None:
            raise ProblemError(Problem("console.code_void"))
        if found.opened is not None:
            self._sessions.pop(found.opened, None)
            raise ProblemError(Problem("console.code_void"))
        name = f"{CONSOLE}.{self._random.randbytes(4).hex()}"
        token = f"{name}~{self._random.randbytes(_BYTES).hex()}"
        client = Client(id=CONSOLE, scopes=self._scopes, origin=origin)
        found.opened = _digest(token)
        self._sessions[found.opened] = client
        self._names[name] = found.opened
        _keep_newest(self._sessions, SESSIONS_AT_MOST)
        _keep_newest(self._names, SESSIONS_AT_MOST)
        return token, client

    def client(self, token: str) -> Client | None:
        """Whose token this is, while the agent lives."""
        return self._sessions.get(_digest(token))

    def hello_key(self, name: str) -> bytes | None:
        """The SHA-256 of the token that begins with this name, 32 bytes."""
        digest = self._names.get(name)
        return bytes.fromhex(digest) if digest and digest in self._sessions else None

    def revoke(self, client_id: str = CONSOLE) -> bool:
        """Close every console; returns whether one was open."""
        was_open = bool(self._sessions)
        self._sessions.clear()
        return was_open

    def _forget_late_codes(self) -> None:
        now = self._ticks()
        for digest in [key for key, code in self._codes.items() if code.until <= now]:
            del self._codes[digest]


def _digest(secret: str) -> str:
    """By which a secret is looked up: how long that takes says nothing about it."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _keep_newest(
    kept: dict[str, Code] | dict[str, Client] | dict[str, str], at_most: int
) -> None:
    while len(kept) > at_most:
        del kept[next(iter(kept))]
