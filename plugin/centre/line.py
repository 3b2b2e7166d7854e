"""How an adapter reaches its centre."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from plugin.centre.port import Patience

if TYPE_CHECKING:
    from plugin.centre.http import Http


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
        self, address: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """The body of the answer. Raises CentreError."""
        return self._http.post(address, body, headers or {})

    def status(self, address: str) -> int:
        """What a GET is answered with. Raises CentreError."""
        return self._http.status(address)

    def close(self) -> None:
        """Close the kept connections."""
        if "_http" in self.__dict__:
            self._http.close()
