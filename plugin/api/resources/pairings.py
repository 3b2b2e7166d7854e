"""Letting new clients in: a program or a page asks, somebody at the till approves."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import Response

from plugin.agent.pairings import LIFE_SECONDS, Pairing, Wish
from plugin.api import answers, requests
from plugin.api.operation import Asked, Bare, Heading, Operation, answer
from plugin.api.requests import Nothing
from plugin.api.resources.resource import Resource

POLL_SECONDS = 2
SECRET = Heading(
    name="authorization",
    about="Bearer and the secret that the pairing began with.",
    required=True,
)
OfOne = Asked[requests.OnePairing, Nothing]
Approving = Asked[requests.OnePairing, requests.ApprovePairing]
_ONE = "/v1/pairings/{pairing_id}"


class Pairings(Resource):
    """Pairings."""

    def operations(self) -> Iterator[Operation]:
        """What can be asked."""
        begun, seen = {201: answers.PairingBegun}, {200: answers.PairingSeen}
        shown, listed = {200: answers.Pairing}, {200: answers.Pairings}
        yield Operation(
            "POST",
            "/v1/pairings",
            self.ask_pairing,
            None,
            begun,
            problems=("pairing.too_many",),
        )
        yield Operation(
            "GET",
            _ONE,
            self.poll_pairing,
            None,
            seen,
            (SECRET,),
            problems=("pairing.unknown", "client.not_kept"),
        )
        yield Operation("GET", "/v1/pairings", self.pairings, "admin", listed)
        over = ("pairing.unknown", "pairing.ended")
        why = (*over, "pairing.wrong_code", "pairing.name_taken")
        yield Operation(
            "POST", f"{_ONE}/approve", self.approve, "admin", shown, problems=why
        )
        yield Operation(
            "POST", f"{_ONE}/deny", self.deny, "admin", shown, problems=over
        )

    async def ask_pairing(self, asked: Asked[Nothing, requests.AskPairing]) -> Response:
        """Ask to be paired. Show the code: whoever runs the till types it into `kaqi pair`
        or the console within five minutes. Ask `GET /v1/pairings/{pairing_id}` with the
        secret until it is approved; that answer carries the token, once.

        The token works only where this request came from: in pages of its Origin, or, where
        it has none, outside a browser."""
        wish = Wish(
            client=asked.body.client,
            version=asked.body.version,
            scopes=frozenset(asked.body.scopes),
            origin=asked.request.headers.get("origin", ""),
        )
        pairings = self._parts.entrance.pairings
        begun = await self._decide(lambda: pairings.ask(wish))
        shown = answers.PairingBegun(
            id=begun.id,
            code=begun.code,
            secret=begun.secret,
            expires_at=begun.expires_at,
            expires_in=LIFE_SECONDS,
            poll_seconds=POLL_SECONDS,
        )
        return answer(shown, status=201)

    async def poll_pairing(self, asked: OfOne) -> Response:
        """How far a pairing is, and its token, once, when it was approved."""
        pairings, secret = self._parts.entrance.pairings, _bearer(asked.request)
        pairing, token = await self._decide(
            lambda: pairings.poll(asked.where.pairing_id, secret, asked.trace_id)
        )
        shown = answers.PairingSeen(
            id=pairing.id,
            state=pairing.state.value,
            client_id=pairing.wish.client,
            scopes=sorted(pairing.wish.scopes),
            expires_at=pairing.expires_at,
            token=token,
        )
        return answer(shown)

    async def pairings(self, _: Bare) -> Response:
        """Who asks to be paired, the newest first; the codes are on their own screens."""
        found = await self._decide(self._parts.entrance.pairings.all)
        return answer(answers.Pairings(pairings=[self._shown(each) for each in found]))

    async def approve(self, asked: Approving) -> Response:
        """Let it in, by the code that it shows. A few wrong codes, and it is denied."""
        pairings, where = self._parts.entrance.pairings, asked.where
        found = await self._decide(
            lambda: pairings.approve(where.pairing_id, asked.body.code)
        )
        return answer(self._shown(found))

    async def deny(self, asked: OfOne) -> Response:
        """Do not let it in."""
        pairings = self._parts.entrance.pairings
        found = await self._decide(lambda: pairings.deny(asked.where.pairing_id))
        return answer(self._shown(found))

    def _shown(self, pairing: Pairing) -> answers.Pairing:
        wish = pairing.wish
        return answers.Pairing(
            id=pairing.id,
            client=wish.client,
            version=wish.version,
            scopes=sorted(wish.scopes),
            origin=wish.origin or None,
            state=pairing.state.value,
            asked_at=pairing.asked_at,
            expires_at=pairing.expires_at,
            replaces=pairing.replaces,
            tries_left=pairing.tries_left,
        )


def _bearer(request: Request) -> str:
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    return secret if scheme.lower() == "bearer" else ""
