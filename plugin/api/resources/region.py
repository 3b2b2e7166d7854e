"""By whose rules the agent works, in plain words."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from starlette.responses import Response

from plugin.api import answers
from plugin.api.operation import Bare, Operation, answer, reading
from plugin.api.resources.resource import Resource


class Region(Resource):
    """Region."""

    def operations(self) -> Iterator[Operation]:
        """What can be asked."""
        yield reading("/v1/region", self.region, answers.Region)

    async def region(self, _: Bare) -> Response:
        """The region's rules that are in force, as an operator reads them: how every
        scenario of this institution goes, and what holds for PINs, windows and holders."""
        return answer(await asyncio.to_thread(self._parts.region))
