"""The guard alone before an application that does nothing, with a clock that is moved by
hand."""

from __future__ import annotations

import asyncio
import re

from plugin import main
from plugin.agent.service import Client
from plugin.api.guard import Door, Doors, Guard, House, Message, Receive, Scope, Send
from tests.agents import Answer
from tests.api.asking import ask

PORT = 15_274
CLIENTS = {"right": "pos", "another": "his"}
DOORS = {
    "/v1/readers": Door(method="GET", path="/v1/readers", scope="read"),
    "/": Door(method="GET", path="/", scope=None, page=True),
    "/kaqi.js": Door(method="GET", path="/kaqi.js", scope=None),
}


async def empty(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that does nothing, and tries to have a policy of its own."""
    if scope["type"] == "lifespan":
        for ended in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{ended}.complete"})
        return
    start: Message = {"type": "http.response.start", "status": 204}
    start["headers"] = [(b"content-security-policy", b"default-src *")]
    await send(start)
    await send({"type": "http.response.body"})


class Entrance:
    """The guard, its clock, and what it told."""

    def __init__(self, port: int = PORT) -> None:
        self._port = port
        self.seconds = 1_000.0
        self.told: list[tuple[str, int]] = []
        house = House(
            port=port,
            origins=frozenset(),
            authenticate=lambda token: (
                Client(id=CLIENTS[token], scopes=frozenset({"read"}))
                if token in CLIENTS
                else None
            ),
            ticks=lambda: int(self.seconds * 1000),
            rejected=lambda code, times: self.told.append((code, times)),
        )
        known = [(re.compile(re.escape(path)), door) for path, door in DOORS.items()]
        self.guard = Guard(empty, house, Doors(known), main.catalogue())

    def ask(
        self,
        who: str = "right",
        path: str = "/v1/readers",
        method: str = "GET",
        **headers: str,
    ) -> Answer:
        """One request; a header is given with an underscore for its hyphens."""
        said = {"host": f"127.0.0.1:{PORT}", "authorization": f"Bearer {who}"}
        said |= {name.replace("_", "-"): value for name, value in headers.items()}
        return asyncio.run(ask(self.guard, method, path, said.items()))

    def head(self, path: str) -> bytes:
        """What a client sends over a real connection."""
        said = f"Host: 127.0.0.1:{self._port}\r\nAuthorization: Bearer right"
        return f"GET {path} HTTP/1.1\r\n{said}\r\n\r\n".encode()

    def times(self, count: int, who: str = "right") -> list[int]:
        """The statuses of so many requests."""
        return [self.ask(who).status for _ in range(count)]
