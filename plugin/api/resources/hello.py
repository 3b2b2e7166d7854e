"""The agent proves itself before a client gives it a token."""

from __future__ import annotations

import hmac
from collections.abc import Iterator

from starlette.responses import Response

from plugin.api import answers, requests
from plugin.api.operation import Asked, Operation, answer
from plugin.api.requests import Nothing
from plugin.api.resources.resource import Resource

LABEL = "kaqi-hello"


class Hello(Resource):
    """Another program may have taken our port. It does not know the tokens."""

    def operations(self) -> Iterator[Operation]:
        """What can be asked."""
        shown = {200: answers.Hello}
        yield Operation("POST", "/v1/hello", self.hello, None, shown)

    async def hello(self, asked: Asked[Nothing, requests.SayHello]) -> Response:
        """Prove that this is the agent that knows the client's token, before the token is
        sent. A client that is not paired gets a proof as well, that nobody can check.

            key     = SHA-256(token)                            32 bytes
            message = "kaqi-hello" LF nonce LF host ":" port    UTF-8
            proof   = HMAC-SHA-256(key, message)                lower-case hex

        `host:port` is what this request says in its Host header, so that an answer that was
        fetched from an agent at another port is of no use. The client's id is the part of
        its token before "~".

            token   pos~AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8
            POST /v1/hello HTTP/1.1
            Host: 127.0.0.1:15274
            {"client_id": "pos", "nonce": "000102030405060708090a0b0c0d0e0f"}

            {"proof": "a00db615a9d1d64024da05a3258977ea98d4b23fa87c0782843c39c07cde6c34"}

        Check it on the connection that will carry the token, and once more on every new
        one; in a browser, where no page knows its connections, after every failure."""
        key = self._parts.entrance.clients.hello_key(asked.body.client_id)
        authority = asked.request.headers["host"]
        return answer(answers.Hello(proof=proof(key, asked.body.nonce, authority)))


def proof(key: bytes, nonce: str, authority: str) -> str:
    """What only who knows the client's token can answer."""
    message = "\n".join((LABEL, nonce, authority)).encode()
    return hmac.digest(key, message, "sha256").hex()
