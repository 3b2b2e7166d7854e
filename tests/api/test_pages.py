"""The console's files: these, and no other file of this computer."""

from __future__ import annotations

import pytest

from plugin.api.resources.pages import FILES
from plugin.main import CONSOLE
from tests.agents import Pos, Running


@pytest.mark.parametrize("path", FILES)
def test_a_file_is_served_as_it_is_to_whoever_comes(
    shared_agent: Running, path: str
) -> None:
    file, media = FILES[path]

    answer = shared_agent.pos.request("GET", path, without=("Authorization",))

    assert answer.status == 200
    assert answer.body.encode() == (CONSOLE / file).read_bytes()
    assert answer.headers["content-type"].split(";")[0] == media
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    [
        "/index.html",
        "/console/kaqi.js",
        "/../pyproject.toml",
        "/%2e%2e/pyproject.toml",
        "/..%2fpyproject.toml",
        "/style.css/",
        "/style.css/../kaqi.js",
        "//style.css",
        "/style.css%00",
        "/STYLE.CSS",
        "/C:/Windows/win.ini",
    ],
)
def test_nothing_else_is_a_file(shared_agent: Running, path: str) -> None:
    pos = Pos(shared_agent.port, shared_agent.pos.token)

    answer = pos.request("GET", path)

    assert (answer.status, answer.code) == (404, "request.not_found")


def test_pages_are_no_part_of_the_api(shared_agent: Running) -> None:
    described = shared_agent.pos.request("GET", "/openapi.json").body["paths"]

    assert set(FILES) & set(described) == set()


def test_every_file_that_a_page_needs_is_in_the_table() -> None:
    there = {file.name for file in CONSOLE.iterdir()}

    assert {file for file, _ in FILES.values()} == there
