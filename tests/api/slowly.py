"""`python -m tests.api.slowly PORT SLOW IDLE`: a siege by so many slow and idle connections.

Says a line when all of them have come once. Whoever is hung up on comes again after a few
seconds. When its input ends, it says how often somebody came and how often somebody was
hung up on, and ends.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

AGAIN_SECONDS = (2.0, 5.0)
TRICKLE_SECONDS = 0.5
GUSH_SECONDS = 0.05
ASKED = "GET /v1/readers HTTP/1.1\r\n"
SENT = "POST /v1/transactions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"


async def idle(_: str) -> AsyncIterator[bytes]:
    """Says nothing."""
    yield b""
    await asyncio.Event().wait()


async def slow_head(host: str) -> AsyncIterator[bytes]:
    """A head, letter by letter."""
    for letter in f"{ASKED}Host: {host}\r\nAuthorization: Bearer wrong\r\n\r\n":
        yield letter.encode()
        await asyncio.sleep(TRICKLE_SECONDS)


async def slow_body(host: str) -> AsyncIterator[bytes]:
    """A body, letter by letter."""
    yield f"{SENT.format(host=host)}Content-Length: 60000\r\n\r\n".encode()
    while True:
        yield b" "
        await asyncio.sleep(TRICKLE_SECONDS)


async def endless_head(host: str) -> AsyncIterator[bytes]:
    """One header after the other."""
    yield f"{ASKED}Host: {host}\r\n".encode()
    for number in itertools.count():
        yield f"X-{number}: {'x' * 500}\r\n".encode()
        await asyncio.sleep(GUSH_SECONDS)


async def endless_body(host: str) -> AsyncIterator[bytes]:
    """One piece after the other."""
    yield f"{SENT.format(host=host)}Transfer-Encoding: chunked\r\n\r\n".encode()
    while True:
        yield b"1000\r\n" + b" " * 0x1000 + b"\r\n"
        await asyncio.sleep(GUSH_SECONDS)


SLOW = (slow_head, slow_body, endless_head, endless_body)
Manner = Callable[[str], AsyncIterator[bytes]]


class Siege:
    """Everybody who is there."""

    def __init__(self, port: int, manners: list[Manner]) -> None:
        self._port = port
        self._manners = manners
        self._yet_to_come = len(manners)
        self.all_have_come = asyncio.Event()
        self.counted: Counter[str] = Counter(came=0, hung_up=0)

    async def last(self) -> None:
        """Until it is cancelled."""
        await asyncio.gather(*(self._one(manner) for manner in self._manners))

    async def _one(self, manner: Manner) -> None:
        for time in itertools.count():
            with suppress(ConnectionError):
                await self._visit(manner, first=time == 0)
            self.counted["hung_up"] += 1
            await asyncio.sleep(random.uniform(*AGAIN_SECONDS))

    async def _visit(self, manner: Manner, *, first: bool) -> None:
        """One connection, until the other side hangs up."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        self.counted["came"] += 1
        self._yet_to_come -= first
        if not self._yet_to_come:
            self.all_have_come.set()
        saying = asyncio.ensure_future(self._say(manner, writer))
        try:
            while await reader.read(65_536):
                pass
        finally:
            saying.cancel()
            writer.close()

    async def _say(self, manner: Manner, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            async for some in manner(f"127.0.0.1:{self._port}"):
                writer.write(some)
                await writer.drain()


async def main(port: int, slow: int, idle_ones: int) -> None:
    """Besiege until the input ends."""
    manners: list[Manner] = [SLOW[number % len(SLOW)] for number in range(slow)]
    siege = Siege(port, [*manners, *[idle] * idle_ones])
    besieging = asyncio.ensure_future(siege.last())
    await siege.all_have_come.wait()
    say("begun")
    await asyncio.to_thread(sys.stdin.read)
    say(json.dumps(siege.counted))
    besieging.cancel()
    with suppress(asyncio.CancelledError):
        await besieging


def say(line: str) -> None:
    """To whoever besieges."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    os.nice(10)  # besiegers bring a processor of their own; ours is shared
    asyncio.run(main(*map(int, sys.argv[1:])))
