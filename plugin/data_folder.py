"""The till's own folder: its key, its clients, its journal and its logs. Only its user can
read it.

    journal.key      32 bytes as hex: without it the journal's personal parts are lost
    clients.json     who may call, by the SM3 of their token, and with which scopes
    operator.token   the token of the commands on this machine
    journal.db       the journal
    agent.json       where the running agent listens
    logs/            JSON lines, rotated
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from plugin.agent.service import Client
from plugin.privacy import KEY_LENGTH, Keys, sm3

OPERATOR = "operator"
SCOPES = ("read", "activate", "identity", "operate", "admin", "simulate")
TOKEN_BYTES = 32


class DataFolderError(Exception):
    """The folder cannot be used; `path` says which."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path


class DataFolder:
    """Opens the folder, making what is missing. Raises DataFolderError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.logs.mkdir(exist_ok=True, mode=0o700)
            probe = path / f".probe-{os.getpid()}"
            _write_private(probe, "")
            probe.unlink()
        except OSError as failed:
            raise DataFolderError(path, failed.strerror or "unusable") from failed

    @property
    def journal(self) -> Path:
        """The journal's file."""
        return self.path / "journal.db"

    @property
    def logs(self) -> Path:
        """The folder of the logs."""
        return self.path / "logs"

    @property
    def address_file(self) -> Path:
        """Where the running agent says that it listens."""
        return self.path / "agent.json"

    def keys(self) -> Keys:
        """The journal's key, made at the first start."""
        file = self.path / "journal.key"
        if not file.exists():
            if self.journal.exists():
                raise DataFolderError(file, "the journal is there and its key is not")
            _write_private(file, secrets.token_hex(KEY_LENGTH))
        try:
            return Keys(bytes.fromhex(file.read_text(encoding="ascii").strip()))
        except (OSError, ValueError) as damaged:
            raise DataFolderError(file, "the key is damaged") from damaged

    def operator_token(self) -> str:
        """The token of the commands on this machine, made at the first start."""
        file = self.path / "operator.token"
        if not file.exists():
            _write_private(file, self.pair(OPERATOR, SCOPES))
        return file.read_text(encoding="ascii").strip()

    def pair(self, client_id: str, scopes: Iterable[str]) -> str:
        """A new token for a client; an earlier one of the same client is void. It is
        shown once and stored hashed."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        clients = self._clients()
        clients[client_id] = {
            "token_sm3": sm3(token.encode()),
            "scopes": sorted(scopes),
        }
        _write_private(self._clients_file, json.dumps(clients, indent=2))
        return token

    @property
    def _clients_file(self) -> Path:
        return self.path / "clients.json"

    def _clients(self) -> dict[str, dict[str, object]]:
        try:
            found = json.loads(self._clients_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as damaged:
            raise DataFolderError(self._clients_file, "damaged") from damaged
        if not isinstance(found, dict):
            raise DataFolderError(self._clients_file, "damaged")
        return found

    def tokens(self) -> dict[str, Client]:
        """Every client by the SM3 of its token."""
        known = {}
        for client_id, entry in self._clients().items():
            scopes = entry.get("scopes")
            if isinstance(scopes, list):
                client = Client(id=client_id, scopes=frozenset(map(str, scopes)))
                known[str(entry.get("token_sm3"))] = client
        return known

    def clients_changed(self) -> float:
        """When the clients were last changed; 0 before the first."""
        try:
            return self._clients_file.stat().st_mtime_ns
        except OSError:
            return 0

    def announce(self, port: int) -> None:
        """Say where the agent listens, for the commands on this machine."""
        here = {"port": port, "pid": os.getpid()}
        _write_private(self.address_file, json.dumps(here))

    def withdraw(self) -> None:
        """The agent has stopped."""
        self.address_file.unlink(missing_ok=True)

    def announced_port(self) -> int | None:
        """Where an agent said that it listens; it may have died since."""
        try:
            return int(
                json.loads(self.address_file.read_text(encoding="ascii"))["port"]
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None


class Doorman:
    """Knows clients by their token, and notices when the list changes."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._changed = -1.0
        self._known: dict[str, Client] = {}

    def client(self, token: str) -> Client | None:
        """The client with this token."""
        changed = self._folder.clients_changed()
        if changed != self._changed:
            self._known, self._changed = self._folder.tokens(), changed
        return self._known.get(sm3(token.encode()))


def _write_private(file: Path, content: str) -> None:
    """Replace a file in one step, readable by its owner only."""
    draft = file.with_name(f"{file.name}.new-{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    draft.replace(file)
