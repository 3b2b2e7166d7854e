"""Whether the agent is alive and ready, and every problem it can name."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from starlette.responses import Response

from plugin.api import answers
from plugin.api.operation import Bare, Operation, answer, reading
from plugin.api.resources.resource import Resource

LATER_SECONDS = 5  # after which it may be worth asking again


class Health(Resource):
    """Health and the catalogue."""

    def operations(self) -> Iterator[Operation]:
        """What can be asked."""
        ready = {200: answers.Readiness, 503: answers.Readiness}
        yield Operation("GET", "/healthz", self.healthz, None, {204: None})
        yield Operation("GET", "/readyz", self.readyz, "read", ready)
        yield reading("/v1/errors", self.errors, answers.CatalogueList)

    async def healthz(self, _: Bare) -> Response:
        """Alive; says nothing else."""
        return Response(status_code=204)

    async def readyz(self, asked: Bare) -> Response:
        """Whether transactions can be carried out now, and what is missing."""
        found = await asyncio.to_thread(self._parts.checks)
        shown = self._parts.rendering.readiness(found, asked.trace_id)
        if shown.ready:
            return answer(shown)
        return answer(shown, status=503, headers={"Retry-After": str(LATER_SECONDS)})

    async def errors(self, _: Bare) -> Response:
        """Every problem the agent can name, in both languages, with its remedy."""
        return answer(self._parts.rendering.catalogue_list())
