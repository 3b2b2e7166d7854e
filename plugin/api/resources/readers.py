"""The readers, as far as a client may see them."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.responses import Response

from plugin.api import answers
from plugin.api.operation import Bare, Operation, answer, reading
from plugin.api.resources.resource import Resource


class Readers(Resource):
    """Readers."""

    def operations(self) -> Iterator[Operation]:
        """What can be asked."""
        yield reading("/v1/readers", self.readers, answers.Readers)

    async def readers(self, asked: Bare) -> Response:
        """Every reader, and why some cannot be asked."""
        service, rendering = self._parts.service, self._parts.rendering
        views, troubles = await self._decide(
            lambda: (service.readers(), service.reader_troubles())
        )
        return answer(rendering.readers(views, troubles, asked.trace_id))
