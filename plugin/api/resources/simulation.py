"""The hand over simulated cards and readers. Only where the agent simulates."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from starlette.responses import Response

from drivers.ports import SimulatedDesk
from plugin.activation.problem import Problem
from plugin.agent.service import ProblemError
from plugin.api import answers, requests
from plugin.api.operation import Asked, Bare, Operation, answer
from plugin.api.requests import Nothing
from plugin.api.resources.resource import Resource

AtReader = Asked[requests.OneReader, Nothing]
_AT = "/v1/simulate/readers/{reader_id}"


class Simulation(Resource):
    """Everything that nobody may do to a real till."""

    def operations(self) -> Iterator[Operation]:
        """What can be asked; nothing where there is no hand."""
        if self._parts.simulated_desk is None:
            return
        cast, done, scope = {200: answers.Cast}, {204: None}, "simulate"
        unknown = ("simulation.unknown",)
        why = ("simulation.occupied", *unknown)
        yield Operation("GET", "/v1/simulate/cast", self.cast, scope, cast)
        yield Operation("POST", f"{_AT}/insert", self.insert, scope, done, problems=why)
        yield Operation(
            "POST", f"{_AT}/remove", self.remove, scope, done, problems=unknown
        )

    async def cast(self, _: Bare) -> Response:
        """The cards of the cast and the readers that take them."""
        hand = self._hand()
        views = await self._decide(self._parts.service.readers)
        ids = {view.name: view.id for view in views}
        readers = [
            answers.SimulatedReader(id=ids[name], name=name)
            for name in hand.readers()
            if name in ids
        ]
        return answer(answers.Cast(cards=list(hand.cards()), readers=readers))

    async def insert(
        self, asked: Asked[requests.OneReader, requests.InsertCard]
    ) -> Response:
        """Put a card of the cast into a simulated reader."""
        hand, name = self._hand(), await self._simulated_reader(asked.where.reader_id)
        try:
            await asyncio.to_thread(hand.insert, asked.body.card, name)
        except LookupError:
            raise ProblemError(Problem("simulation.unknown")) from None
        except ValueError:
            raise ProblemError(Problem("simulation.occupied")) from None
        return Response(status_code=204)

    async def remove(self, asked: AtReader) -> Response:
        """Take the card out of a simulated reader."""
        hand, name = self._hand(), await self._simulated_reader(asked.where.reader_id)
        await asyncio.to_thread(hand.remove, name)
        return Response(status_code=204)

    async def _simulated_reader(self, reader_id: str) -> str:
        views = await self._decide(self._parts.service.readers)
        found = (view.name for view in views if view.id == reader_id)
        name = next(found, None)
        if name is None or name not in self._hand().readers():
            raise ProblemError(Problem("simulation.unknown"))
        return name

    def _hand(self) -> SimulatedDesk:
        hand = self._parts.simulated_desk
        if hand is None:
            raise ProblemError(Problem("request.not_found"))
        return hand
