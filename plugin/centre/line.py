"""How an adapter reaches its centre."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec import Struct, to_builtins

from plugin.centre.port import CentreError, Patience

if TYPE_CHECKING:
    from plugin.centre.http import Http


_log = logging.getLogger("kaqi.centre")


class Exchange(Struct, frozen=True, kw_only=True):
    """What the log says of one exchange: which question it was (the adapter's word for it),
    by what name the centre's people find it, and for whose request it was asked."""

    question: str
    message_id: str
    trace_id: str


class Line:
    """HTTP to one centre with its credential, opened by the first message."""

    def __init__(
        self, content_type: str, credential: str | None, patience: Patience | None
    ) -> None:
        secret = {"Authorization": f"Bearer {credential}"} if credential else {}
        self._headers = {"Content-Type": content_type, **secret}
        self._patience = patience or Patience()

    @cached_property
    def _http(self) -> Http:
        # Imported here: a till pays for it with its first message, not at start.
        from plugin.centre.http import Http

        return Http(self._headers, self._patience)

    def post(
        self, address: str, body: bytes, headers: Mapping[str, str], noted: Exchange
    ) -> bytes:
        """The body of the answer. Raises CentreError."""
        began = time.monotonic()
        told: dict[str, str | int] = {"status": 200}
        try:
            return self._http.post(address, body, headers)
        except CentreError as failed:
            told = {"code": failed.code}
            if failed.status is not None:
                told["status"] = failed.status
            raise
        finally:
            told |= to_builtins(noted)
            told["ms"] = round((time.monotonic() - began) * 1000)
            _log.info("centre asked", extra=told)

    def status(self, address: str) -> int:
        """What a GET is answered with. Raises CentreError."""
        return self._http.status(address)

    def close(self) -> None:
        """Close the kept connections."""
        if "_http" in self.__dict__:
            self._http.close()
