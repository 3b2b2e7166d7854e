"""What every resource shares."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TypeVar

from msgspec import Struct

from drivers.ports import SimulatedDesk
from plugin.agent.about import About
from plugin.agent.clients import Clients
from plugin.agent.console import Console
from plugin.agent.counting import Counts
from plugin.agent.doctor import Finding
from plugin.agent.happenings import Happenings
from plugin.agent.loop import DecidingLoop
from plugin.agent.pairings import Pairings
from plugin.agent.service import Service
from plugin.api import answers
from plugin.api.events import Hub
from plugin.api.rendering import Rendering
from plugin.centre.simulated import SimulatedCentreDesk

Result = TypeVar("Result")


class Entrance(Struct, frozen=True, kw_only=True):
    """Who is let in, and how."""

    clients: Clients
    pairings: Pairings
    console: Console


class Parts(Struct, frozen=True, kw_only=True):
    """What the resources speak to. `rejections` are the guard's refusals so far, by code;
    `log` is the end of the log, `hashed` a keyed hash of this till's; `console_file` reads
    a file of the console; `region` explains the rules in force."""

    about: About
    counts: Counts
    rejections: Callable[[], Mapping[str, int]]
    free: Callable[[], int | None]  # bytes on the journal's disk
    log: Callable[[], bytes]
    hashed: Callable[[str], str]
    loop: DecidingLoop
    service: Service
    entrance: Entrance
    happenings: Happenings
    hub: Hub
    rendering: Rendering
    checks: Callable[[], tuple[Finding, ...]]
    simulated_desk: SimulatedDesk | None
    simulated_centre: SimulatedCentreDesk | None
    console_file: Callable[[str], bytes]
    region: Callable[[], answers.Region]
    log_folder: str


class Resource:
    """Operations that belong together."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def _decide(self, call: Callable[[], Result]) -> Result:
        """Have something done on the deciding thread."""
        return await asyncio.wrap_future(self._parts.loop.ask(call))

    async def _look(self, call: Callable[[], Result]) -> Result:
        """Have a look at something there that changes nothing."""
        return await asyncio.wrap_future(self._parts.loop.look(call))
