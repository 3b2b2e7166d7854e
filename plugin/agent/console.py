"""The way into the console: a code that works once and soon, for a token that is good for a
working day, also after the agent was started again. Decides on the deciding thread;
`client` and `hello_key` are asked from any.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from random import Random
from typing import Annotated, Protocol

from msgspec import Struct

from plugin.activation.problem import Problem
from plugin.agent.service import Client, ProblemError
from plugin.shapes import whole

CONSOLE = "console"
CODE_SECONDS = 60
CODE_SECONDS_AT_MOST = 3_600
CODES_AT_MOST = 16
SESSIONS_AT_MOST = 8
# The longest day a pharmacy is open: nobody is signed out in the middle of it, and who comes
# the next morning finds nobody signed in.
SESSION_SECONDS = 16 * 3600
_BYTES = 32
_BEGINS = f"{CONSOLE}."


class UnkeptError(Exception):
    """What should be kept cannot be written."""


class Code(Struct):
    """One code, by when it must be used (milliseconds), and what it opened: the digest of a
    token."""

    until: int
    opened: str | None = None


class Session(Struct, frozen=True, kw_only=True):
    """An open console: what its token begins with, the SHA-256 of all of it (hex), the origin
    of its page, and when it was opened (milliseconds since 1970)."""

    name: str
    digest: Annotated[str, whole(r"[0-9a-f]{64}")]
    origin: str
    opened: int


class Sessions(Protocol):
    """Where the open consoles are kept; other processes may void all of them at any time."""

    def consoles(self) -> tuple[Session, ...]:
        """All of them, the oldest first; none where they cannot be read. From any thread."""
        ...

    def keep_consoles(self, sessions: tuple[Session, ...]) -> None:
        """These, and no others. Raises UnkeptError."""
        ...


class Console:
    """Codes and the sessions they open. `ticks` are milliseconds, `wall` is the wall clock in
    milliseconds since 1970: no other goes on while nothing runs."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        ticks: Callable[[], int],
        wall: Callable[[], int],
        random: Random,
        scopes: frozenset[str],
    ) -> None:
        self._sessions = sessions
        self._ticks = ticks
        self._wall = wall
        self._random = random
        self._scopes = scopes
        self._codes: dict[str, Code] = {}

    def code(self, seconds: int = CODE_SECONDS) -> str:
        """A new code, good for so long."""
        self._forget_late_codes()
        code = self._random.randbytes(_BYTES).hex()
        self._codes[_digest(code)] = Code(self._ticks() + seconds * 1000)
        while len(self._codes) > CODES_AT_MOST:
            del self._codes[next(iter(self._codes))]
        return code

    def open(self, code: str, origin: str) -> tuple[str, Client]:
        """A token for a page of this origin, and whose it is. Raises ProblemError:
        client.not_kept, console.code_void; when the code has been used before, somebody has
        overheard it, and what it opened is closed."""
        self._forget_late_codes()
        found = self._codes.get(_digest(code))
        if found is None:
            raise ProblemError(Problem("console.code_void"))
        if found.opened is not None:
            self._drop(found.opened)
            raise ProblemError(Problem("console.code_void"))
        name = f"{_BEGINS}{self._random.randbytes(4).hex()}"
        token = f"{name}~{self._random.randbytes(_BYTES).hex()}"
        session = Session(
            name=name, digest=_digest(token), origin=origin, opened=self._wall()
        )
        self._keep((*self._open, session)[-SESSIONS_AT_MOST:])
        found.opened = session.digest
        return token, self._client_of(session)

    def client(self, token: str) -> Client | None:
        """Whose token this is, while its session lasts."""
        if not token.startswith(
            _BEGINS
        ):  # nearly always: it is asked for every request
            return None
        digest = _digest(token)
        found = (each for each in self._open if each.digest == digest)
        session = next(found, None)
        return None if session is None else self._client_of(session)

    def hello_key(self, name: str) -> bytes | None:
        """The SHA-256 of the token that begins with this name, 32 bytes."""
        digests = (each.digest for each in self._open if each.name == name)
        digest = next(digests, None)
        return None if digest is None else bytes.fromhex(digest)

    def close(self, token: str) -> bool:
        """Void this token; returns whether it had a session. Raises ProblemError:
        client.not_kept."""
        return self._drop(_digest(token))

    def revoke(self, client_id: str = CONSOLE) -> bool:
        """Close every console; returns whether one was open. Raises UnkeptError."""
        was_open = bool(self._open)
        self._sessions.keep_consoles(())
        return was_open

    @property
    def _open(self) -> tuple[Session, ...]:
        """Those whose time is not over. A clock that was set back makes none last for ever."""
        now = self._wall()
        return tuple(
            each
            for each in self._sessions.consoles()
            if abs(now - each.opened) < SESSION_SECONDS * 1000
        )

    def _client_of(self, session: Session) -> Client:
        return Client(id=CONSOLE, scopes=self._scopes, origin=session.origin)

    def _drop(self, digest: str) -> bool:
        before = self._open
        left = tuple(each for each in before if each.digest != digest)
        if left != before:
            self._keep(left)
        return left != before

    def _keep(self, sessions: tuple[Session, ...]) -> None:
        try:
            self._sessions.keep_consoles(sessions)
        except UnkeptError as failed:
            raise ProblemError(Problem("client.not_kept")) from failed

    def _forget_late_codes(self) -> None:
        now = self._ticks()
        for digest in [key for key, code in self._codes.items() if code.until <= now]:
            del self._codes[digest]


def _digest(secret: str) -> str:
    """By which a secret is looked up: how long that takes says nothing about it."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
