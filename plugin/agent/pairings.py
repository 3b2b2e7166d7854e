"""Requests to be paired: who asks, what somebody at the till decides, and the token that is
handed over once. Lives on the deciding thread.

A request waits five minutes for the code that the client shows; whoever types it has seen
that client's screen. It is told who it was by a secret that only it was given. Of the agent
and its machine a request says nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from hmac import compare_digest
from random import Random

from msgspec import Struct
from msgspec.structs import replace

from plugin.activation.problem import Problem
from plugin.agent.clients import Clients
from plugin.agent.rate import Rate
from plugin.agent.service import Client, ProblemError

LIFE_SECONDS = 300
WAITING_AT_MOST = 5
ASKED_A_MINUTE = 5
WRONG_CODES_AT_MOST = 5
_SECRET_BYTES = 32
_EVERYBODY = "everybody"


class State(StrEnum):
    """How far a request is."""

    WAITING = "waiting"
    APPROVED = "approved"  # and the token not yet fetched
    COLLECTED = "collected"
    DENIED = "denied"
    EXPIRED = "expired"


class Wish(Struct, frozen=True, kw_only=True):
    """Who asks for what. `origin` is the web page's it came from, "" where there is none."""

    client: str
    version: str | None
    scopes: frozenset[str]
    origin: str


class Pairing(Struct, frozen=True, kw_only=True):
    """One request at one moment. `replaces` says that a client of this name was paired when
    it came; `until` is the tick at which it expires."""

    id: str
    wish: Wish
    code: str
    secret: str
    asked_at: str
    expires_at: str
    until: int
    replaces: bool
    state: State = State.WAITING
    tries_left: int = WRONG_CODES_AT_MOST

    def __repr__(self) -> str:
        return f"<Pairing {self.id} {self.state}>"


class Pairings:
    """`ticks` are milliseconds; `wall_in` says what the clock will show in so many seconds."""

    def __init__(
        self,
        *,
        clients: Clients,
        ticks: Callable[[], int],
        wall_in: Callable[[float], str],
        random: Random,
    ) -> None:
        self._clients = clients
        self._ticks = ticks
        self._wall_in = wall_in
        self._random = random
        self._rate = Rate(ASKED_A_MINUTE, ticks)
        self._kept: dict[str, Pairing] = {}

    def ask(self, wish: Wish) -> Pairing:
        """A new request. Raises ProblemError: pairing.too_many."""
        self._pass_time()
        waiting = [each for each in self._kept.values() if each.state is State.WAITING]
        if len(waiting) >= WAITING_AT_MOST:
            first_end = min(each.until for each in waiting)
            raise _too_many((first_end - self._ticks()) // 1000 + 1)
        seconds = self._rate.seconds_to_wait(_EVERYBODY)
        if seconds:
            raise _too_many(seconds)
        return self._keep(
            Pairing(
                id=self._new_id(),
                wish=wish,
                code=self._new_code(),
                secret=self._random.randbytes(_SECRET_BYTES).hex(),
                asked_at=self._wall_in(0),
                expires_at=self._wall_in(LIFE_SECONDS),
                until=self._ticks() + LIFE_SECONDS * 1000,
                replaces=self._clients.named(wish.client) is not None,
            )
        )

    def poll(
        self, pairing_id: str, secret: str, trace_id: str = ""
    ) -> tuple[Pairing, str | None]:
        """How far it is, for whoever has its secret; and its token, the first time after it
        was approved. Raises ProblemError: pairing.unknown, client.not_kept."""
        known = self._known(pairing_id)
        if not compare_digest(known.secret.encode(), secret.encode()):
            raise ProblemError(Problem("pairing.unknown"))
        if known.state is not State.APPROVED:
            return known, None
        wish = known.wish
        client = Client(id=wish.client, scopes=wish.scopes, origin=wish.origin)
        token = self._clients.let_in(client, trace_id)
        return self._keep(replace(known, state=State.COLLECTED)), token

    def all(self) -> tuple[Pairing, ...]:
        """Every request that is remembered, the newest first."""
        self._pass_time()
        return tuple(reversed(self._kept.values()))

    def approve(self, pairing_id: str, code: str) -> Pairing:
        """Let it in, if this is its code. Raises ProblemError: pairing.unknown,
        pairing.ended, pairing.wrong_code, pairing.name_taken."""
        known = self._known(pairing_id)
        if known.state in (State.DENIED, State.EXPIRED):
            raise ProblemError(Problem("pairing.ended"))
        if not compare_digest(known.code.encode(), code.encode()):
            self._count_wrong_code(known)
            raise ProblemError(Problem("pairing.wrong_code"))
        if known.state is not State.WAITING:  # a click that comes twice
            return known
        self._refuse_anothers_name(known.wish)
        return self._keep(replace(known, state=State.APPROVED))

    def deny(self, pairing_id: str) -> Pairing:
        """Do not let it in. Raises ProblemError: pairing.unknown, pairing.ended."""
        known = self._known(pairing_id)
        if known.state in (State.COLLECTED, State.EXPIRED):
            raise ProblemError(Problem("pairing.ended"))
        return self._keep(replace(known, state=State.DENIED))

    def _count_wrong_code(self, known: Pairing) -> None:
        """Also after the approval, when nothing more can come of it."""
        left = max(0, known.tries_left - 1)
        is_over = known.state is State.WAITING and not left
        state = State.DENIED if is_over else known.state
        self._keep(replace(known, state=state, tries_left=left))

    def _refuse_anothers_name(self, wish: Wish) -> None:
        """A page must not take a program's place, nor that of another site's page."""
        named = self._clients.named(wish.client)
        if named is not None and named.origin != wish.origin:
            raise ProblemError(Problem("pairing.name_taken", {"client": wish.client}))

    def _keep(self, pairing: Pairing) -> Pairing:
        self._kept[pairing.id] = pairing
        return pairing

    def _known(self, pairing_id: str) -> Pairing:
        self._pass_time()
        known = self._kept.get(pairing_id)
        if known is None:
            raise ProblemError(Problem("pairing.unknown"))
        return known

    def _pass_time(self) -> None:
        """What is over its time has expired, and is forgotten after as long again."""
        now = self._ticks()
        for each in list(self._kept.values()):
            if each.until + LIFE_SECONDS * 1000 <= now:
                del self._kept[each.id]
            elif each.until <= now and each.state in (State.WAITING, State.APPROVED):
                self._keep(replace(each, state=State.EXPIRED))

    def _new_id(self) -> str:
        while (new := f"p-{self._random.randbytes(4).hex()}") in self._kept:
            pass
        return new

    def _new_code(self) -> str:
        taken = {each.code for each in self._kept.values()}
        while (new := f"{self._random.randrange(10**6):06}") in taken:
            pass
        return new


def _too_many(seconds: int) -> ProblemError:
    return ProblemError(Problem("pairing.too_many"), retry_after=seconds)
