"""What a person and chance do to real readers and a real centre, by request. Only where the
agent simulates."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TypeVar

from starlette.responses import Response

from drivers.ports import (
    CastCard,
    Mishap,
    NotHereError,
    Planned,
    SimulatedDesk,
    SimulatedSlot,
    SlotState,
)
from plugin.activation.problem import Problem
from plugin.agent.readers import ReaderView
from plugin.agent.service import ProblemError
from plugin.api import answers, requests
from plugin.api.answers import Texts
from plugin.api.operation import Asked, Bare, Doing, Operation, answer
from plugin.api.requests import Nothing
from plugin.api.resources.resource import Parts, Resource
from plugin.centre.port import CentreError
from plugin.centre.simulated import Books, Fault, SimulatedCentreDesk, Words

Found = TypeVar("Found")
Move = Asked[requests.OneReader, Nothing]
Insertion = Asked[requests.OneReader, requests.InsertCard]
SCOPE = "simulate"
CENTRE = "/v1/simulate/centre"


_MOVING = ("simulation.not_here", "simulation.occupied", "simulation.unknown")


class Simulation(Resource):
    """Everything that nobody may do to a real till. A reader that is detached is known here
    by the id it had."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self._names: dict[str, str] = {}

    def operations(self) -> Iterator[Operation]:
        """What can be asked; nothing where nothing is simulated."""
        if self._parts.simulated_desk is None:
            return
        moves: dict[str, Doing] = {
            "insert": self.insert,
            "mute": self.mute,
            "remove": self.remove,
            "tear": self.tear,
            "reset": self.reset_card,
            "hang": self.hang,
            "type": self.type,
            "detach": self.detach,
            "attach": self.attach,
        }
        done, cast, books = {204: None}, {200: answers.Cast}, {200: answers.CentreBooks}
        yield Operation("GET", "/v1/simulate/cast", self.cast, SCOPE, cast)
        for verb, does in moves.items():
            path = f"/v1/simulate/readers/{{reader_id}}/{verb}"
            yield Operation("POST", path, does, SCOPE, done, problems=_MOVING)
        yield Operation("GET", CENTRE, self.centre, SCOPE, books)
        yield Operation("POST", CENTRE, self.misbehave, SCOPE, done)
        yield Operation("POST", "/v1/simulate/reset", self.reset, SCOPE, done)

    # The cast and the readers

    async def cast(self, _: Bare) -> Response:
        """The people of the cast with their cards, and the readers that take them.
        Everybody is invented."""
        there = await self._there()
        cast = [_cast_card(card) for card in self._hand.cast()]
        readers = [
            _reader(each, name, there.get(each), self._hand.slot(name))
            for each, name in self._names.items()
        ]
        names = [card.name for card in cast]
        return answer(answers.Cast(cards=names, cast=cast, readers=readers))

    async def insert(self, asked: Insertion) -> Response:
        """Put a card of the cast into a reader."""
        put, card = self._hand.insert, asked.body.card
        return await self._move(asked.where, lambda reader: put(card, reader))

    async def mute(self, asked: Insertion) -> Response:
        """Put it in the wrong way round."""
        put, card = self._hand.insert_wrongly, asked.body.card
        return await self._move(asked.where, lambda reader: put(card, reader))

    async def remove(self, asked: Move) -> Response:
        """Take the card out, also half way through whatever is done with it."""
        return await self._move(asked.where, self._hand.remove)

    async def tear(self, asked: Asked[requests.OneReader, requests.Tear]) -> Response:
        """Have the card pulled at its n-th command from now on; with `answer_lost`, when it
        has obeyed and not yet answered. That is the card that is in, or else the next
        one; when it leaves otherwise, nothing happens."""
        mishap = Mishap.LOSE_ANSWER if asked.body.answer_lost else Mishap.PULL
        return await self._plan(asked.where, Planned(mishap=mishap, at=asked.body.at))

    async def reset_card(
        self, asked: Asked[requests.OneReader, requests.AtCommand]
    ) -> Response:
        """Have another program reset the card before its n-th command; as with `tear`."""
        planned = Planned(mishap=Mishap.RESET, at=asked.body.at)
        return await self._plan(asked.where, planned)

    async def hang(self, asked: Asked[requests.OneReader, requests.Hang]) -> Response:
        """Have the card take its time at its n-th command; as with `tear`."""
        at, seconds = asked.body.at, asked.body.seconds
        planned = Planned(mishap=Mishap.HANG, at=at, seconds=seconds)
        return await self._plan(asked.where, planned)

    async def type(
        self, asked: Asked[requests.OneReader, requests.TypeOnReader]
    ) -> Response:
        """Type on the reader's own keypad, digits and the enter key; without digits, the
        cancel key. As with real ones, nothing happens while the reader does not ask."""
        put, digits = self._hand.type, asked.body.digits
        return await self._move(asked.where, lambda reader: put(reader, digits))

    async def detach(self, asked: Move) -> Response:
        """Pull the reader's plug; its card goes with it."""
        return await self._move(asked.where, self._hand.detach)

    async def attach(self, asked: Move) -> Response:
        """Plug the reader in again."""
        await self._there()
        return await self._by_hand(asked.where.reader_id, self._hand.attach)

    # The centre

    async def centre(self, _: Bare) -> Response:
        """What the simulated centre has activated, and how it misbehaves."""
        return answer(_books(await self._with_centre(SimulatedCentreDesk.books)))

    async def misbehave(self, asked: Asked[Nothing, requests.CentreFaults]) -> Response:
        """How the simulated centre misbehaves from now on; without faults it does not, and
        whatever it has kept back until now is answered."""
        faults = [_fault(each) for each in asked.body.faults]
        await self._with_centre(lambda centre: centre.misbehave(faults))
        return Response(status_code=204)

    async def reset(self, _: Bare) -> Response:
        """Every reader plugged in and empty, nothing planned, the centre as on its first
        day. What the agent has written down stays written."""
        await asyncio.to_thread(self._clear)
        await self._with_centre(SimulatedCentreDesk.reset)
        return Response(status_code=204)

    def _clear(self) -> None:
        for reader in self._hand.readers():
            with suppress(NotHereError):
                self._hand.attach(reader)
            self._hand.remove(reader)

    # How

    async def _plan(self, where: requests.OneReader, planned: Planned) -> Response:
        plan = self._hand.plan
        return await self._move(where, lambda reader: plan(reader, planned))

    async def _move(
        self, where: requests.OneReader, move: Callable[[str], None]
    ) -> Response:
        """Do something at a reader that is attached."""
        if where.reader_id not in await self._there():
            raise ProblemError(Problem("simulation.unknown"))
        return await self._by_hand(where.reader_id, move)

    async def _by_hand(self, reader_id: str, move: Callable[[str], None]) -> Response:
        try:
            await asyncio.to_thread(move, self._names[reader_id])
        except LookupError:
            raise ProblemError(Problem("simulation.unknown")) from None
        except NotHereError:
            raise ProblemError(Problem("simulation.not_here")) from None
        except ValueError:
            raise ProblemError(Problem("simulation.occupied")) from None
        return Response(status_code=204)

    async def _there(self) -> dict[str, ReaderView]:
        """The simulated readers that are attached, by id."""
        views = await self._decide(self._parts.service.readers)
        simulated = self._hand.readers()
        there = {view.id: view for view in views if view.name in simulated}
        self._names |= {each: view.name for each, view in there.items()}
        return there

    async def _with_centre(self, call: Callable[[SimulatedCentreDesk], Found]) -> Found:
        centre = self._parts.simulated_centre
        assert centre is not None  # noqa: S101 - there is one where there is a hand
        try:
            return await asyncio.to_thread(call, centre)
        except CentreError as failed:
            raise ProblemError(Problem(failed.code)) from None

    @property
    def _hand(self) -> SimulatedDesk:
        hand = self._parts.simulated_desk
        assert hand is not None  # noqa: S101 - else nothing is offered
        return hand


def _cast_card(card: CastCard) -> answers.CastCard:
    return answers.CastCard(
        name=card.name,
        person=card.person,
        kind=card.kind,
        medium=card.medium,
        label=Texts(chinese=card.label_zh, english=card.label_en),
        story=Texts(chinese=card.story_zh, english=card.story_en),
        pin=card.pin,
    )


def _reader(
    reader_id: str, name: str, view: ReaderView | None, slot: SimulatedSlot
) -> answers.SimulatedReader:
    """One reader; without a view it is unplugged."""
    planned, seen = slot.planned, view.slot if view else SlotState.EMPTY
    return answers.SimulatedReader(
        id=reader_id,
        name=name,
        attached=view is not None,
        slot=seen.value,
        card=None if seen is SlotState.EMPTY else slot.card,
        planned=answers.PlannedMishap(
            mishap=planned.mishap.value, at=planned.at, seconds=planned.seconds
        )
        if planned
        else None,
        mishaps=sorted(each.value for each in slot.mishaps),
        has_plug=slot.has_plug,
        keypad_asks=slot.keypad_asks,
    )


def _fault(said: requests.CentreFault) -> Fault:
    words = said.words
    return Fault(
        fault=said.fault,
        operation=said.operation,
        times=said.times,
        seconds=said.seconds,
        words=Words(code=words.code, text=words.text) if words else None,
    )


def _books(books: Books) -> answers.CentreBooks:
    return answers.CentreBooks(
        today=books.today,
        faults=[
            answers.OrderedFault(
                fault=each.fault,
                operation=each.operation,
                times=each.times,
                seconds=each.seconds,
            )
            for each in books.faults
        ],
        activations=[
            answers.CentreActivation(
                activation_id=each.activation_id,
                message_id=each.message_id,
                institution=each.institution,
                receipt_no=each.receipt_no,
            )
            for each in books.effects
        ],
        received=books.received,
    )
