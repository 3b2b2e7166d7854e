"""Who may call, and the way into the console."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.responses import Response

from plugin.activation.problem import Problem
from plugin.agent.service import ProblemError
from plugin.api import answers, requests
from plugin.api.operation import Asked, Bare, Operation, answer
from plugin.api.requests import Nothing
from plugin.api.resources.resource import Resource

OfOne = Asked[requests.OneClient, Nothing]
Opening = Asked[Nothing, requests.OpenConsole]


class Clients(Resource):
    """Clients."""

    def operations(self) -> Iterator[Operation]:
        """What can be asked."""
        listed, code = {200: answers.PairedClients}, {201: answers.ConsoleCode}
        session = {201: answers.ConsoleSession}
        revoke = "/v1/clients/{client_id}/revoke"
        yield Operation("GET", "/v1/clients", self.clients, "admin", listed)
        why = ("client.unknown", "client.not_kept")
        yield Operation("POST", revoke, self.revoke, "admin", {204: None}, problems=why)
        codes, sessions = "/v1/console/codes", "/v1/console/session"
        yield Operation("POST", codes, self.console_code, "admin", code)
        void = ("client.not_kept", "console.code_void")
        yield Operation(
            "POST", sessions, self.open_console, None, session, problems=void
        )
        ends = f"{sessions}/end"
        yield Operation("POST", ends, self.sign_out, "read", {204: None}, problems=why)

    async def clients(self, _: Bare) -> Response:
        """Who may call; never their tokens."""
        found = await self._decide(self._parts.entrance.clients.all)
        shown = [
            answers.PairedClient(
                id=each.id,
                scopes=sorted(each.scopes),
                origin=each.origin,
                paired_at=each.paired_at,
            )
            for each in found
        ]
        return answer(answers.PairedClients(clients=shown))

    async def revoke(self, asked: OfOne) -> Response:
        """Void a client's token, and end its event streams, at once. `console` closes every
        console that is open."""
        clients, client_id = self._parts.entrance.clients, asked.where.client_id
        await self._decide(lambda: clients.revoke(client_id, asked.trace_id))
        return Response(status_code=204)

    async def console_code(self, asked: Asked[Nothing, requests.MakeCode]) -> Response:
        """A code that opens the console, for `kaqi console`: it works once, within a
        minute unless a longer life is asked for."""
        make, seconds = self._parts.entrance.console.code, asked.body.seconds
        code = await self._decide(lambda: make(seconds))
        shown = answers.ConsoleCode(code=code, expires_in=seconds)
        return answer(shown, status=201)

    async def open_console(self, asked: Opening) -> Response:
        """The code for a token, asked by the console's own page. A code that is used twice
        closes what it opened: one of the two has overheard it. The session lasts sixteen
        hours, and a restart of the agent does not end it."""
        headers = asked.request.headers
        origin = headers.get("origin")
        if origin != f"http://{headers['host']}":
            raise ProblemError(Problem("auth.origin_denied"))
        console = self._parts.entrance.console
        token, client = await self._decide(
            lambda: console.open(asked.body.code, origin)
        )
        shown = answers.ConsoleSession(
            client_id=client.id, token=token, scopes=sorted(client.scopes)
        )
        return answer(shown, status=201)

    async def sign_out(self, asked: Bare) -> Response:
        """End the console's session whose token this request carries, and no other; the
        transactions that were begun there go on. `client.unknown` for a token of anybody
        else."""
        clients, said = self._parts.entrance.clients, asked.request.headers
        token = said["authorization"].partition(" ")[2]
        await self._decide(lambda: clients.sign_out(token, asked.trace_id))
        return Response(status_code=204)
