"""The console's files, on the agent's own origin."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from starlette.responses import Response

from plugin.api.operation import Bare, Doing, Operation
from plugin.api.resources.resource import Resource

# Every path that is served, its file and what that is. There is no other way to a file.
_SCRIPTS = (
    "app", "begin", "desk", "desk_reader", "dom", "following", "journey", "kaqi", "moments", "pictures",
    "pin", "readers", "region", "settings", "settling", "sha256", "today", "where", "words",
)  # fmt: skip
FILES = {
    "/": ("index.html", "text/html"),
    "/style.css": ("style.css", "text/css"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    **{f"/{name}.js": (f"{name}.js", "text/javascript") for name in _SCRIPTS},
}


class Pages(Resource):
    """Pages: what a person opens in a browser, and what those pages load."""

    def operations(self) -> Iterator[Operation]:
        """What can be asked."""
        for path, (file, media) in FILES.items():
            does = self._serving(file, media)
            yield Operation("GET", path, does, None, {200: None}, page=True)

    def _serving(self, file: str, media: str) -> Doing:
        async def page(_: Bare) -> Response:
            """A file of the console."""
            content = await asyncio.to_thread(self._parts.console_file, file)
            return Response(content, media_type=media)

        page.__name__ = f"page_{file.replace('.', '_')}"
        return page
