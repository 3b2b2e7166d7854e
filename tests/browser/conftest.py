"""Debian's Chromium, and pages of a listed and of a foreign origin."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from simulator.reader import InProcessDesk
from tests.agents import Running, running
from tests.browser.consoles import Watch
from tests.browser.counter import till as till  # the fixture of every console test
from tests.centre import CentreProcess

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP *.example 127.0.0.1",  # a name that is made to mean us
]


class _EmptyPage(BaseHTTPRequestHandler):
    """The same page for everybody; but /away?to= sends everybody on, whatever they do."""

    def do_GET(self) -> None:
        to = self.path.partition("/away?to=")[2]
        if to:
            self._empty(307, Location=to)
            return
        body = b"<!doctype html><title>a page</title><p>a page</p>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def do_OPTIONS(self) -> None:
        allowed = "authorization, content-type, idempotency-key"
        self._empty(204, Access_Control_Allow_Headers=allowed)

    def _empty(self, status: int, **headers: str) -> None:
        self.send_response(status)
        headers |= {"Access_Control_Allow_Origin": "*", "Content_Length": "0"}
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Site:
    """A web server whose pages say as good as nothing."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _EmptyPage)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"

    def away(self, address: str) -> str:
        """An address here that leads there, and on to whatever path is put behind it."""
        return f"{self.origin}/away?to={address}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def launched() -> Iterator[Browser]:
    """Debian's Chromium: the build without a window, which costs half, unless everything is
    asked for."""
    builds = ("chromium-headless-shell", "chromium")
    if os.environ.get("KAQI_FLOWS") == "all":
        builds = builds[::-1]
    executable = next(filter(None, map(shutil.which, builds)), None)
    assert executable, "Debian's chromium is not installed"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def watch() -> Watch:
    """Sees every page of the browser."""
    return Watch()


@pytest.fixture(scope="session")
def chromium(watch: Watch) -> Iterator[Browser]:
    """One browser per test process."""
    with launched() as browser:
        browser.on("context", watch.over)
        yield browser


@pytest.fixture(autouse=True)
def consoles(watch: Watch) -> Iterator[Watch]:
    """Whatever a test does with a console, it makes no mistake and asks nobody else."""
    yield watch
    assert watch.complaints() == []


@pytest.fixture(scope="session")
def sites() -> Iterator[tuple[Site, Site]]:
    """A listed site and a foreign one."""
    pair = Site(), Site()
    yield pair
    for site in pair:
        site.close()


@pytest.fixture
def agent(
    tmp_path: Path, centre: CentreProcess, sites: tuple[Site, Site]
) -> Iterator[Running]:
    """An agent that lists the first site."""
    hand = InProcessDesk()
    listed = frozenset({sites[0].origin})
    with running(
        tmp_path, centre.address, {"inprocess": hand}, hand, origins=listed
    ) as started:
        yield started


@pytest.fixture
def listed_page(chromium: Browser, sites: tuple[Site, Site]) -> Iterator[Page]:
    page = chromium.new_page()
    page.goto(sites[0].origin)
    yield page
    page.close()


@pytest.fixture
def foreign_page(chromium: Browser, sites: tuple[Site, Site]) -> Iterator[Page]:
    page = chromium.new_page()
    page.goto(sites[1].origin)
    yield page
    page.close()
