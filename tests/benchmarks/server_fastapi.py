"""The floor under the agent: trivial routes, the agent's server settings.

`server_fastapi [FOLDER] PORT`
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

if TYPE_CHECKING:
    import apsw

app = FastAPI()


class Item(BaseModel):
    """Something small."""

    name: str


@app.get("/healthz", status_code=204)
async def healthz() -> None:
    """Nothing."""


@app.get("/items/{number}")
async def item(number: int) -> Item:
    """One of them."""
    return Item(name=str(number))


@app.post("/items")
async def add(said: Item) -> Item:
    """The same again."""
    return said


@app.post("/kept")
def keep(said: Item) -> Item:
    """The same again, once it is on the disk: on a thread, so that nobody else waits."""
    _disk().execute("INSERT INTO audit (row) VALUES (?)", (said.name,))
    return said


@cache
def _disk() -> apsw.Connection:
    """A bare database, as safe as the journal."""
    from tests.benchmarks.journal import bare_connection  # not when it starts

    return bare_connection(Path(sys.argv[1], "kept.db"))


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[-1]),
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        proxy_headers=False,
    )
