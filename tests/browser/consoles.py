"""What a console must never do, whatever a test does with it: fail in its own scripts, be
stopped by its own policy, or ask anybody but the agent it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Error, Page, Request

ITS_SCRIPT = "/app.js"  # a page that loads it is a console
LOCAL = ("data:", "blob:")
# The network's trouble is in Chromium's log as well; the page tells it the operator.
NETWORK = "Failed to load resource"


@dataclass
class Watched:
    """One page: what it asked for, and what went wrong in it."""

    home: str | None = None  # the origin of a console; None for any other page
    asked: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def asks(self, address: str) -> None:
        """It asked for this."""
        self.asked.append(address)
        parts = urlsplit(address)
        if parts.path == ITS_SCRIPT:
            self.home = f"{parts.scheme}://{parts.netloc}"

    def complaints(self) -> list[str]:
        """Nothing, of a console as it should be; each is told once."""
        if self.home is None:
            return []
        allowed = (f"{self.home}/", *LOCAL)
        abroad = [each for each in self.asked if not each.startswith(allowed)]
        found = [*self.wrong, *(f"it asked {each}" for each in abroad)]
        self.asked, self.wrong = [], []
        return found


class Watch:
    """Sees every page of a browser."""

    def __init__(self) -> None:
        self._pages: list[Watched] = []

    def over(self, context: BrowserContext) -> None:
        """This one's pages too."""
        context.on("page", self._page)

    def complaints(self) -> list[str]:
        """What consoles did since this was asked last."""
        return [each for page in self._pages for each in page.complaints()]

    def _page(self, page: Page) -> None:
        watched = Watched()
        self._pages.append(watched)

        def asked(request: Request) -> None:
            watched.asks(request.url)

        def failed(error: Error) -> None:
            watched.wrong.append(f"it failed: {error}")

        def said(message: ConsoleMessage) -> None:
            if message.type == "error" and not message.text.startswith(NETWORK):
                watched.wrong.append(message.text)

        page.on("request", asked)
        page.on("pageerror", failed)
        page.on("console", said)
