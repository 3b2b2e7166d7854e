"""The readers, as far as a client may see them, and a test of each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future

from starlette.responses import Response

from plugin.agent.testing import Tested
from plugin.api import answers, requests
from plugin.api.operation import Asked, Bare, Operation, answer, reading
from plugin.api.requests import Nothing
from plugin.api.resources.resource import Resource

_ONE = "/v1/readers/{reader_id}"
AtReader = Asked[requests.OneReader, Nothing]


class Readers(Resource):
    """Readers."""

    def operations(self) -> Iterator[Operation]:
        """What can be asked."""
        yield reading("/v1/readers", self.readers, answers.Readers)
        unknown = ("reader.unknown",)
        yield reading(_ONE, self.reader, answers.Reader, problems=unknown)
        tested = {200: answers.SelfTest}
        why = (*unknown, "reader.busy")
        yield Operation(
            "POST", f"{_ONE}/self-test", self.test, "operate", tested, problems=why
        )
        yield reading("/v1/presence/{insertion_id}", self.presence, answers.Presence)

    async def readers(self, asked: Bare) -> Response:
        """Every reader, and why some cannot be asked."""
        service, rendering = self._parts.service, self._parts.rendering
        views, troubles = await self._decide(
            lambda: (service.readers(), service.reader_troubles())
        )
        return answer(rendering.readers(views, troubles, asked.trace_id))

    async def reader(self, asked: AtReader) -> Response:
        """One reader, and what was wrong with it last."""
        find, reader_id = self._parts.service.reader, asked.where.reader_id
        view = await self._decide(lambda: find(reader_id))
        return answer(self._parts.rendering.reader(view, asked.trace_id))

    async def test(self, asked: AtReader) -> Response:
        """Read the card that is in, to see whether reader and card are in order. It says
        which kind of card it is and nothing of what stands on it. Not while a transaction
        may use the reader."""
        begin, client = self._parts.service.test_reader, asked.client
        reader_id, trace_id = asked.where.reader_id, asked.trace_id
        found: Future[Tested] = Future()
        await self._decide(lambda: begin(client, reader_id, trace_id, found.set_result))
        tested = await asyncio.wrap_future(found)
        return answer(self._parts.rendering.self_test(tested, trace_id))

    async def presence(self, asked: Asked[requests.OneStay, Nothing]) -> Response:
        """Whether the card of this `insertion_id` is still in its reader: false once it was
        taken out, and for every id that is not known."""
        look, insertion_id = self._parts.service.is_present, asked.where.insertion_id
        present = await self._decide(lambda: look(insertion_id))
        return answer(answers.Presence(present=present))
