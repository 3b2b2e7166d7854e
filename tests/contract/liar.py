"""A server that says the same to everybody."""

from __future__ import annotations

import socket
import threading


class Liar:
    """Answers every request with the same bytes, one by one where there is a `pause`. Use as
    a context manager."""

    def __init__(self, answer: bytes, *, pause: float = 0.0) -> None:
        self._answer = answer
        self._pause = pause
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(0.05)
        self.address = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Liar:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._server.close()

    def _serve(self) -> None:
        while not self._ended.is_set():
            try:
                connection, _ = self._server.accept()
            except OSError:
                continue
            with connection:
                self._say(connection)

    def _say(self, connection: socket.socket) -> None:
        try:
            connection.recv(65_536)
            if not self._pause:
                connection.sendall(self._answer)
                return
            for byte in self._answer:
                connection.sendall(bytes((byte,)))
                if self._ended.wait(self._pause):
                    return
        except OSError:
            return


def http(body: bytes, status: str = "200 OK", extra: str = "") -> bytes:
    """An answer, as it goes over the line."""
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
    return head.encode() + body
