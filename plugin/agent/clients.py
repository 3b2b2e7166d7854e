"""Who may call: the clients that were paired and are kept, each with its scopes and the
place it calls from.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, Protocol

from plugin.activation.problem import Problem
from plugin.agent.console import CONSOLE, Console, UnkeptError
from plugin.agent.happenings import Happenings
from plugin.agent.service import Client, ProblemError
from plugin.shapes import whole

SCOPES = ("read", "activate", "identity", "operate", "admin", "simulate")
OPERATOR = "operator"
RESERVED = frozenset({OPERATOR, CONSOLE})  # names that nobody else may have
NO_BROWSER = ""  # the origin of whoever is no web page

ClientId = Annotated[str, whole(r"[0-9A-Za-z._-]{1,40}")]
# Whoever is let in by a code or by a file lets nobody else in.
Pairable = Literal["read", "activate", "identity", "operate", "simulate"]


class Registry(Protocol):
    """Where clients are kept; other processes may change it at any time."""

    def clients(self) -> tuple[Client, ...]:
        """All of them."""
        ...

    def client(self, token: str) -> Client | None:
        """Whose token this is."""
        ...

    def pair(
        self, client_id: str, scopes: Iterable[str], origin: str | None = None
    ) -> str:
        """A new token; an earlier one of the same client is void. Raises UnkeptError."""
        ...

    def revoke(self, client_id: str) -> bool:
        """Void its token; returns whether it had one. Raises UnkeptError."""
        ...

    def hello_key(self, client_id: str) -> bytes:
        """The SHA-256 of its token, 32 bytes; for an unknown client as many that nobody
        knows, always the same and after the same work."""
        ...


class Clients:
    """The registry and the open consoles, and telling about them. Lives on the deciding
    thread."""

    def __init__(
        self, registry: Registry, console: Console, happenings: Happenings
    ) -> None:
        self._registry = registry
        self._console = console
        self._happenings = happenings

    def all(self) -> tuple[Client, ...]:
        """Every client, by name."""
        return tuple(sorted(self._registry.clients(), key=lambda each: each.id))

    def named(self, client_id: str) -> Client | None:
        """The client of this name."""
        return next((each for each in self.all() if each.id == client_id), None)

    def known(self, token: str) -> Client | None:
        """Whose token this is. From any thread."""
        return self._console.client(token) or self._registry.client(token)

    def hello_key(self, client_id: str) -> bytes:
        """What proves us to a client, as `Registry` says. From any thread."""
        return self._console.hello_key(client_id) or self._registry.hello_key(client_id)

    def let_in(self, client: Client, trace_id: str = "") -> str:
        """Its new token; an earlier one of the same name is void. Raises ProblemError:
        client.not_kept."""
        replaced = self.named(client.id) is not None
        try:
            token = self._registry.pair(client.id, client.scopes, client.origin)
        except UnkeptError as failed:
            raise ProblemError(Problem("client.not_kept")) from failed
        subject = f"clients/{client.id}"
        if replaced:
            self._happenings.tell("client.revoked", subject, trace_id=trace_id)
        self._happenings.tell("client.paired", subject, trace_id=trace_id)
        return token

    def revoke(self, client_id: str, trace_id: str = "") -> None:
        """Void its token; for `console` those of all that are open. Raises ProblemError:
        client.unknown, client.not_kept."""
        keeper = self._console if client_id == CONSOLE else self._registry
        try:
            was_known = keeper.revoke(client_id)
        except UnkeptError as failed:
            raise ProblemError(Problem("client.not_kept")) from failed
        self._tell_revoked(client_id, trace_id, was_known=was_known)

    def sign_out(self, token: str, trace_id: str = "") -> None:
        """Void a console's token, and no other console's. Raises ProblemError:
        client.unknown for a token that is no console's, client.not_kept."""
        was_known = self._console.close(token)
        self._tell_revoked(CONSOLE, trace_id, was_known=was_known)

    def _tell_revoked(self, client_id: str, trace_id: str, *, was_known: bool) -> None:
        if not was_known:
            raise ProblemError(Problem("client.unknown"))
        self._happenings.tell(
            "client.revoked", f"clients/{client_id}", trace_id=trace_id
        )
