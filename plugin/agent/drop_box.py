"""Pairing without a person: an installer leaves a request as a file, and finds the token
beside it.

    pairing-requests/NAME.json    {"client": "pos", "scopes": ["read", "activate"]}, and
                                  "origin": "https://…" where a web page is to have it
    pairing-requests/NAME.token   the token, for the user of the folder only

The request is taken away when the token is there; one that is wrong stays, and is found by
the checks. Whoever may write here is the folder's user, who may do everything anyway.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from stat import S_ISREG
from typing import Annotated

from msgspec import Meta

from plugin.activation.problem import Problem
from plugin.agent.clients import (
    NO_BROWSER,
    RESERVED,
    ClientId,
    Clients,
    Pairable,
)
from plugin.agent.console import UnkeptError
from plugin.agent.doctor import Finding
from plugin.agent.loop import DecidingLoop
from plugin.agent.service import Client, ProblemError
from plugin.shapes import ShapeError, Strict, WrongValueError, shaped, whole

LOOK_AGAIN_MS = 5_000
MAX_BYTES = 4_096
_log = logging.getLogger("kaqi.pairing")


class PairingFile(Strict):
    """What a request says."""

    client: ClientId
    scopes: Annotated[
        list[Pairable], Meta(min_length=1, max_length=len(Pairable.__args__))
    ]
    origin: Annotated[str, whole(r"https?://[!-~]{1,200}")] | None = None

    def __post_init__(self) -> None:
        if self.client in RESERVED:
            raise WrongValueError("client", "another name, please")

    @property
    def asked(self) -> Client:
        """The client it asks for."""
        origin = NO_BROWSER if self.origin is None else self.origin
        return Client(id=self.client, scopes=frozenset(self.scopes), origin=origin)


class BadFileError(Exception):
    """A request that cannot be met, and why."""


class DropBox:
    """Meets the requests in `folder`, again and again. `keep` writes a file for its user
    only. Lives on the deciding thread."""

    def __init__(
        self,
        folder: Path,
        clients: Clients,
        loop: DecidingLoop,
        keep: Callable[[Path, str], None],
    ) -> None:
        self._folder = folder
        self._clients = clients
        self._loop = loop
        self._keep = keep

    def begin(self) -> None:
        """From now on. From any thread."""
        self._loop.post(lambda: self._loop.after(0, self._look_again))

    def look(self) -> None:
        """Meet what there is; what is wrong waits for its author."""
        for file in self._folder.glob("*.json"):
            try:
                self._meet(file, read(file).asked)
            except (BadFileError, ProblemError, UnkeptError, OSError) as failed:
                _log.debug(
                    "a pairing request waits", extra={"error": type(failed).__name__}
                )

    def _look_again(self) -> None:
        self.look()
        self._loop.after(LOOK_AGAIN_MS, self._look_again)

    def _meet(self, file: Path, wanted: Client) -> None:
        """The request goes last: after a power cut it is met again, and a token that was
        left already is still the one."""
        answer = file.with_suffix(".token")
        if not self._is_met(answer, wanted):
            self._keep(answer, self._clients.let_in(wanted))
        file.unlink()

    def _is_met(self, answer: Path, wanted: Client) -> bool:
        try:
            known = self._clients.known(answer.read_text(encoding="ascii").strip())
        except (OSError, ValueError):
            return False
        return known is not None and (known.id, known.scopes, known.origin) == (
            wanted.id,
            wanted.scopes,
            wanted.origin,
        )


def read(file: Path) -> PairingFile:
    """The request in a file. Raises BadFileError."""
    try:
        if not S_ISREG(file.stat().st_mode):
            raise BadFileError("not a regular file")
        with file.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise BadFileError("larger than 4 KiB")
        return shaped(json.loads(content.decode("utf-8-sig")), PairingFile)
    except OSError as failed:
        raise BadFileError(failed.strerror or "unreadable") from failed
    except ShapeError as wrong:
        place = "/".join(map(str, wrong.place))
        raise BadFileError(": ".join(filter(None, (place, wrong.reason)))) from wrong
    except (ValueError, RecursionError) as wrong:
        raise BadFileError("not JSON") from wrong


def findings(folder: Path) -> Iterator[Finding]:
    """What is wrong with the requests that wait."""
    for file in sorted(folder.glob("*.json")):
        try:
            read(file)
        except BadFileError as bad:
            facts = {"file": file.name, "reason": str(bad)}
            yield Finding(
                name="pairing_request",
                required=False,
                problem=Problem("pairing.bad_file", facts),
                detail=file.name,
            )
