"""`python -m simulator.centre`: see the package."""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import threading
from datetime import date

import uvicorn
from fastapi import FastAPI

from simulator.centre import enable2132, orders, reference
from simulator.centre.books import Books
from simulator.centre.misbehaviour import Misbehaviour


def build(today: date) -> Misbehaviour:
    """The centre as an ASGI application."""
    books = Books(today)
    app = FastAPI(title="kaqi reference centre", version="1", docs_url=None)
    reference.add_routes(app, books)

    @app.get("/healthz", status_code=204)
    async def healthz() -> None:
        """Somebody is there."""

    orders.add_routes(app, books)
    enable2132.add_routes(app, books)  # the last: it takes what is left
    return Misbehaviour(app, books)


def main() -> None:
    """Serve on loopback until standard input closes."""
    parser = argparse.ArgumentParser(description="The simulated insurance centre.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--today", type=date.fromisoformat, default=date.today())  # noqa: DTZ011 - the centre's own date
    arguments = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", arguments.port))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    port = listener.getsockname()[1]
    server = uvicorn.Server(
        uvicorn.Config(build(arguments.today), log_level="critical", access_log=False)
    )

    def stop_with_parent() -> None:
        sys.stdin.buffer.read()
        server.should_exit = True
        server.force_exit = True

    threading.Thread(target=stop_with_parent, daemon=True).start()
    announcement = {"address": f"http://127.0.0.1:{port}", "pid": os.getpid()}
    try:
        sys.stdout.write(json.dumps(announcement) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        return  # whoever started us has gone
    server.run(sockets=[listener])


if __name__ == "__main__":
    main()
