"""The till's own folder: its key, its clients, its journal and its logs. Only its user can
read it.

    journal.key      32 bytes as hex: without it the journal's personal parts are lost
    clients/         who may call, a file a client, named by the SHA-256 of its token
    pairing-requests/  where an installer asks for a client's token, as files
    operator.token   the token of the commands on this machine
    consoles.json    the consoles that are open, each by the SHA-256 of its token
    journal.db       the journal; beside it what plugin/journal/place.py says
    restoring/       what `kaqi restore` works with
    journal.backup.db, journal.backup.older.db   copies of it, checked through
    ballast          room that is given to what runs when the disk fills
    agent.json       where the running agent listens
    purpose          "till" or "simulation": what the folder was first used for
    machine          whose folder it is, as a keyed hash: a copied disk is noticed
    logs/            JSON lines, rotated
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from plugin.agent.clients import NO_BROWSER, OPERATOR, SCOPES
from plugin.agent.console import CONSOLE, SESSIONS_AT_MOST, Session, UnkeptError
from plugin.agent.service import Client
from plugin.privacy import KEY_LENGTH, Keys

TOKEN_BYTES = 32
READ_MAX = 1_000  # clients whose files are remembered
CONSOLES_BYTES = 16_384  # many times what as many as may be open take
_OF_CLIENT = "[0-9a-f]" * 64 + ".json"
Version = tuple[int, int, int]  # what tells a file from the one it replaced


class DataFolderError(UnkeptError):
    """The folder, or a file in it, cannot be used; `facts` fill the catalogue's
    sentences."""

    code = "agent.data_folder"

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.facts = {"path": str(path), "reason": reason}


class JournalKeyError(DataFolderError):
    """The key of the journal is missing or damaged: nothing must be made anew."""

    code = "agent.journal_key"


class OtherPurposeError(DataFolderError):
    """A simulation and a real till never share a folder: each would carry on what the
    other left unfinished."""

    code = "agent.other_purpose"


class DataFolder:
    """Opens the folder, making what is missing. Raises DataFolderError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._clients_path = str(self._clients)
        self._consoles_path = str(self._consoles_file)
        self._read: dict[str, tuple[Version, Client | None]] = {}
        self._open: tuple[Version | None, tuple[Session, ...]] = None, ()
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            probe = path / f".probe-{os.getpid()}"
            write_private(probe, "")
            probe.unlink()
            for each in (self.logs, self._clients, self.pairing_requests):
                _make_private(each)
        except OSError as failed:
            raise DataFolderError(path, failed.strerror or "unusable") from failed
        for file in (self._key_file, self._token_file, self.logs / "kaqi.log"):
            if file.exists() and not os.access(file, os.R_OK | os.W_OK):
                raise DataFolderError(file, "it belongs to another user")

    @property
    def journal(self) -> Path:
        """The journal's file."""
        return self.path / "journal.db"

    @property
    def has_a_key(self) -> bool:
        """Whether there ever was a journal."""
        return self._key_file.exists()

    @property
    def logs(self) -> Path:
        """The folder of the logs."""
        return self.path / "logs"

    @property
    def pairing_requests(self) -> Path:
        """Where installers leave their requests, and find the tokens."""
        return self.path / "pairing-requests"

    @property
    def address_file(self) -> Path:
        """Where the running agent says that it listens."""
        return self.path / "agent.json"

    @property
    def _key_file(self) -> Path:
        return self.path / "journal.key"

    @property
    def _token_file(self) -> Path:
        return self.path / "operator.token"

    @property
    def _consoles_file(self) -> Path:
        return self.path / "consoles.json"

    @property
    def _clients(self) -> Path:
        return self.path / "clients"

    def dedicate(self, *, simulated: bool) -> None:
        """From now on the folder serves this purpose only."""
        file, purpose = self.path / "purpose", "simulation" if simulated else "till"
        if not file.exists():
            write_private(file, purpose)
        if file.read_text(encoding="utf-8", errors="replace").strip() != purpose:
            raise OtherPurposeError(self.path, f"it is not for a {purpose}")

    def lives_on(self, machine: str | None) -> bool:
        """From now on the folder belongs to this machine (None: nobody knows which).
        Returns whether it was another's: then it is a copy, and no token holds any more, so
        that nobody who knows one speaks to both."""
        if machine is None:
            return False
        file, name = self.path / "machine", self.keys().digest("machine", machine)
        known = file.read_text(encoding="utf-8").strip() if file.exists() else name
        if known != name:
            left = self.pairing_requests.glob("*.token")
            ours = (self._token_file, self._consoles_file)
            for token in (*ours, *self._clients.glob("*.json"), *left):
                token.unlink(missing_ok=True)
        if known != name or not file.exists():
            write_private(file, name)
        return known != name

    def keys(self) -> Keys:
        """The journal's key, made at the first start. Raises JournalKeyError."""
        file = self._key_file
        if not file.exists():
            if any(self.path.glob("journal.*")):  # or a copy of it
                raise JournalKeyError(file, "the journal is there and its key is not")
            write_private(file, secrets.token_hex(KEY_LENGTH))
        try:
            return Keys(bytes.fromhex(file.read_text(encoding="ascii").strip()))
        except (OSError, ValueError) as damaged:
            raise JournalKeyError(file, "the key is damaged") from damaged

    def operator_token(self) -> str:
        """The token of the commands on this machine; made anew when it is not, or no
        longer, that of a client."""
        try:
            token = self._token_file.read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            token = ""
        if self.client(token) is None:
            token = self.pair(OPERATOR, SCOPES, NO_BROWSER)
            write_private(self._token_file, token)
        return token

    def pair(
        self, client_id: str, scopes: Iterable[str], origin: str | None = None
    ) -> str:
        """A new token for a client, which begins with its name; an earlier one of the same
        client is void, and with the operator's every open console. It is shown once and
        stored hashed. Raises DataFolderError."""
        if client_id == OPERATOR:
            self._consoles_file.unlink(missing_ok=True)
        token = f"{client_id}~{secrets.token_urlsafe(TOKEN_BYTES)}"
        earlier = self._files_of(client_id)
        entry = {"id": client_id, "scopes": sorted(scopes), "origin": origin}
        write_private(Path(self._client_file(token)), json.dumps(entry))
        for file in earlier:
            file.unlink(missing_ok=True)
        return token

    def client(self, token: str) -> Client | None:
        """The client with this token; one whose file is damaged must pair again. A file is
        read again only when it is another one. From any thread."""
        file = self._client_file(token)
        try:
            found = os.stat(file)  # noqa: PTH116 - for every request
        except OSError:
            self._read.pop(file, None)
            return None
        version = _version(found)
        read = self._read.get(file)
        if read is None or read[0] != version:
            if len(self._read) >= READ_MAX:
                self._read.clear()
            read = self._read[file] = version, _client(Path(file))
        return read[1]

    def clients(self) -> tuple[Client, ...]:
        """Everybody who may call."""
        found = (_client(file) for file in self._clients.glob(_OF_CLIENT))
        return tuple(each for each in found if each is not None)

    def revoke(self, client_id: str) -> bool:
        """Void a client's token; returns whether it had one. The operator's consoles, which
        are `console`, go with it. Raises DataFolderError."""
        files = self._files_of(client_id)
        if client_id in (OPERATOR, CONSOLE):
            files += [self._consoles_file] * self._consoles_file.exists()
        for file in files:
            try:
                file.unlink(missing_ok=True)
            except OSError as failed:
                reason = failed.strerror or "cannot be removed"
                raise DataFolderError(file, reason) from failed
        return bool(files)

    def hello_key(self, client_id: str) -> bytes:
        """The SHA-256 of its token, 32 bytes; for an unknown client as many that nobody
        knows, always the same and after the same work."""
        nobodys = self.keys().digest("hello", client_id) * 2
        names = [nobodys, *(file.stem for file in self._files_of(client_id))]
        return bytes.fromhex(names[-1])

    def _files_of(self, client_id: str) -> list[Path]:
        """The file of a client, the newest last where a power cut left more than one."""
        files = list(self._clients.glob(_OF_CLIENT))
        named = [
            file for file in files if (found := _client(file)) and found.id == client_id
        ]
        return sorted(named, key=_written_at)

    def _client_file(self, token: str) -> str:
        digest = hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
        return f"{self._clients_path}{os.sep}{digest}.json"

    def consoles(self) -> tuple[Session, ...]:
        """The consoles that were opened, the oldest first; a damaged file costs them. It is
        read again only when it is another one. From any thread."""
        try:
            version = _version(os.stat(self._consoles_path))  # noqa: PTH116 - often
            if self._open[0] != version:
                content = self._consoles_file.read_bytes()[:CONSOLES_BYTES]
                found = msgspec.json.decode(content, type=tuple[Session, ...])
                self._open = version, found[-SESSIONS_AT_MOST:]
        except (OSError, ValueError, msgspec.MsgspecError):
            return ()
        return self._open[1]

    def keep_consoles(self, sessions: tuple[Session, ...]) -> None:
        """These are open, and no others. Raises DataFolderError."""
        content = msgspec.json.encode(sessions).decode("ascii")
        write_private(self._consoles_file, content)

    def announce(self, port: int) -> None:
        """Say where the agent listens, for the commands on this machine."""
        here = {"port": port, "pid": os.getpid()}
        write_private(self.address_file, json.dumps(here))

    def withdraw(self) -> None:
        """The agent has stopped."""
        with suppress(OSError):
            self.address_file.unlink()

    def announced_port(self) -> int | None:
        """Where an agent said that it listens; it may have died since."""
        try:
            return int(
                json.loads(self.address_file.read_text(encoding="ascii"))["port"]
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _version(found: os.stat_result) -> Version:
    return found.st_mtime_ns, found.st_ino, found.st_size


def _client(file: Path) -> Client | None:
    """Who this file lets in; None when it is gone or damaged."""
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        paired = datetime.fromtimestamp(_written_at(file)).astimezone()
        return Client(
            id=str(found["id"]),
            scopes=frozenset(map(str, found["scopes"])),
            origin=found["origin"],
            paired_at=paired.isoformat(timespec="seconds"),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _written_at(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:  # gone in between
        return 0.0


def _make_private(folder: Path) -> None:
    """A folder inside ours, for its user only; a copy may have lost that."""
    if not folder.exists():
        folder.mkdir(exist_ok=True, mode=0o700)
        _give_to_user(folder, folder.parent)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)


def _give_to_user(path: Path, folder: Path) -> None:
    """What an administrator writes belongs to whose folder it is in."""
    if hasattr(os, "chown") and os.geteuid() == 0:
        owner = folder.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def write_private(file: Path, content: str) -> None:
    """Replace a file in one step, readable only by the user whose folder it is. Raises
    DataFolderError."""
    draft = file.with_name(f"{file.name}.new-{os.getpid()}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        _give_to_user(draft, file.parent)
        draft.replace(file)
    except OSError as failed:
        raise DataFolderError(file, failed.strerror or "cannot be written") from failed
