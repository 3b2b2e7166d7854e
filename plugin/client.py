"""A POS vendor's client for the kaqi agent on this machine.

One typed file: copy it into your program. It needs Python 3.11 and nothing else.

    token = pair("my-pos", ["read", "activate", "identity"], show_code=print)  # once

    kaqi = Kaqi(token=token)
    transaction = kaqi.start("pharmacy", pos_ref="4711")
    while not transaction.ended:
        show(transaction.instruction("zh-CN"), transaction.problem)
        if "confirm" in transaction.allowed_actions and operator_says_yes(transaction):
            transaction = kaqi.confirm(transaction)
        else:
            transaction = kaqi.next(transaction)
    print(transaction.outcome, transaction.receipt("zh-CN"))
    kaqi.acknowledge(transaction)

Every POST carries an Idempotency-Key, and is sent again with the same key when the answer
is lost: nothing happens twice.

The token leaves this program only on a connection whose other end has proved that it knows
it already (`POST /v1/hello`): a program that takes the agent's port, also later, is sent
nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import secrets
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

DEFAULT_ADDRESS = "127.0.0.1:15274"
ENDED = frozenset({"succeeded", "failed", "cancelled", "expired"})
TRIES = 3
SHORT_SECONDS = 10.0
LONG_POLL_SECONDS = 25.0
SILENCE_SECONDS = 40.0  # the agent says something every 15
RECONNECT_SECONDS = 2.0
_IMPOSTOR = {
    "zh-CN": "在 {address} 应答的程序不能证明自己是与本程序配对的卡启：可能是别的程序占用了"
    "端口，或本程序已被注销，需要重新配对。没有向它发送令牌。",
    "en": "Whoever answers at {address} cannot prove to be the kaqi that this program was "
    "paired with: another program may have taken the port, or this program was revoked and "
    "has to be paired again. The token was not sent.",
}


class KaqiError(Exception):
    """The agent refused the request; branch on `code`."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(f"{problem.get('code', 'unknown')} (HTTP {status})")
        self.status = status
        self.problem = problem
        self.code = str(problem.get("code", "agent.failed"))

    def message(self, language: str = "zh-CN") -> str:
        """What is wrong, in one sentence."""
        return str(self.problem.get("messages", {}).get(language, self.code))


class KaqiUnreachableError(Exception):
    """Nobody answers at the agent's address."""


class KaqiImpostorError(Exception):
    """Whoever answers at the agent's address does not know our token. It was not sent."""

    code = "client.impostor"

    def __init__(self, address: str) -> None:
        super().__init__(_IMPOSTOR["en"].format(address=address))
        self.address = address

    def message(self, language: str = "zh-CN") -> str:
        """What is wrong, in plain words."""
        return _IMPOSTOR[language].format(address=self.address)


class KaqiNotPairedError(Exception):
    """The pairing came to nothing: `state` is denied, expired, or collected (the answer with
    the token was lost). Ask again."""

    def __init__(self, state: str) -> None:
        super().__init__(f"the pairing is {state}")
        self.state = state


@dataclass(frozen=True)
class Event:
    """One event of the stream. `id` is None where it says only how the stream begins."""

    type: str
    id: int | None
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Transaction:
    """One snapshot, as the agent sent it in `data`."""

    data: Mapping[str, Any]

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.data["id"])

    @property
    def state(self) -> str:
        """Where it stands."""
        return str(self.data["state"])

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in ENDED

    @property
    def allowed_actions(self) -> list[str]:
        """What may be asked of it now: cancel, confirm, continue, pin."""
        return list(self.data["allowed_actions"])

    @property
    def problem(self) -> Mapping[str, Any] | None:
        """What is wrong just now, or why it ended."""
        found: Mapping[str, Any] | None = self.data["problem"]
        return found

    @property
    def way_back(self) -> list[Mapping[str, Any]]:
        """Where the holder goes whose card cannot be activated here: alternatives, the best
        first, each with its key and its stops (place, what, documents, proxy_documents)."""
        return list(self.problem["way_back"]) if self.problem else []

    @property
    def pin_wanted(self) -> Mapping[str, Any] | None:
        """The PIN that is asked for: role, entry (verify or new), on_reader, digits_min,
        digits_max, tries_left, last_try; None when none is."""
        expects: Mapping[str, Any] | None = self.data["expects"]
        return expects if expects and expects["what"] == "pin" else None

    @property
    def notices(self) -> list[Mapping[str, Any]]:
        """What the operator should know without being stopped by it."""
        return list(self.data["notices"])

    @property
    def holder(self) -> Mapping[str, Any] | None:
        """The holder, masked unless this client may see more; None before a reading."""
        result = self.data["result"]
        found: Mapping[str, Any] | None = result["holder"] if result else None
        return found

    @property
    def holder_masked(self) -> Mapping[str, Any] | None:
        """The holder as the operator may see it on the screen."""
        result = self.data["result"]
        found: Mapping[str, Any] | None = result["holder_masked"] if result else None
        return found

    @property
    def outcome(self) -> str | None:
        """activated, already_active, not_checked, will_activate_on_registration or
        would_activate; None unless it succeeded."""
        result = self.data["result"]
        return result["outcome"] if result else None

    def instruction(self, language: str = "zh-CN") -> str:
        """The one instruction of this moment."""
        return str(self.data["step"]["text"][language])

    def receipt(self, language: str = "zh-CN") -> str | None:
        """The text to print, when it succeeded."""
        result = self.data["result"]
        receipt = result["receipt"] if result else None
        return str(receipt["text"][language]) if receipt else None


def pair(
    client: str,
    scopes: Iterable[str],
    show_code: Callable[[str], None],
    *,
    version: str | None = None,
    address: str = DEFAULT_ADDRESS,
) -> str:
    """Ask the agent to be let in under this name (letters, digits, . _ -), and wait while
    somebody at the till types the code that you show into `kaqi pair` or the console.
    Returns the token: keep it as you keep a password. To somebody whom it does not know yet
    the agent cannot prove itself; `kaqi doctor` shows who holds its port. Raises
    KaqiNotPairedError, KaqiError and KaqiUnreachableError."""
    said = {"client": client, "scopes": list(scopes), "version": version}
    begun = _asked_once(address, "POST", "/v1/pairings", {}, said)
    show_code(begun["code"])
    path = f"/v1/pairings/{begun['id']}"
    secret = {"Authorization": f"Bearer {begun['secret']}"}
    pause = threading.Event()
    while True:
        seen = _asked_once(address, "GET", path, secret)
        if seen["token"] is not None:
            return str(seen["token"])
        if seen["state"] != "waiting":
            raise KaqiNotPairedError(str(seen["state"]))
        pause.wait(begun["poll_seconds"])


class Kaqi:
    """The agent, for whom this token was made. Calls block; threads may share it."""

    def __init__(self, *, token: str, address: str = DEFAULT_ADDRESS) -> None:
        self._token = token
        self.address = address

    def start(
        self,
        scenario: str,
        *,
        kind: str = "activation",
        pos_ref: str | None = None,
        operator_ref: str | None = None,
        readers: list[str] | None = None,
        on_client_loss: str | None = None,
        idempotency_key: str | None = None,
    ) -> Transaction:
        """Start an activation, or a `dry_run`, which says whether one would be allowed and
        writes nothing. Keep `idempotency_key` with your sale: the same key after a crash
        finds the same transaction."""
        body = {
            "kind": kind,
            "scenario": scenario,
            "pos_ref": pos_ref,
            "operator_ref": operator_ref,
            "readers": readers,
            "on_client_loss": on_client_loss,
        }
        said = {key: value for key, value in body.items() if value is not None}
        return Transaction(self._post("/v1/transactions", said, idempotency_key))

    def get(self, transaction_id: str) -> Transaction:
        """A snapshot of now."""
        return Transaction(self.call("GET", f"/v1/transactions/{transaction_id}"))

    def next(
        self, transaction: Transaction, seconds: float = LONG_POLL_SECONDS
    ) -> Transaction:
        """Wait until something changes; the same again when nothing did."""
        seq = transaction.data["seq"]
        path = f"/v1/transactions/{transaction.id}?wait={seconds:g}&after_seq={seq}"
        return Transaction(self.call("GET", path, patience=seconds + SHORT_SECONDS))

    def confirm(self, transaction: Transaction) -> Transaction:
        """The operator has compared the holder and says yes."""
        return self._act(transaction, "confirm")

    def cancel(self, transaction: Transaction) -> Transaction:
        """Cancel; possible until the centre has the message."""
        return self._act(transaction, "cancel")

    def go_on(self, transaction: Transaction) -> Transaction:
        """Look again at the cards that are in."""
        return self._act(transaction, "continue")

    def acknowledge(self, transaction: Transaction) -> Transaction:
        """You have kept the result: it is not announced again."""
        return self._act(transaction, "acknowledge")

    def reconcile(self, transaction: Transaction) -> Transaction:
        """In doubt: have the centre asked now."""
        return self._act(transaction, "reconcile")

    def unacknowledged(self) -> list[Transaction]:
        """What ended, or is still on its way, and you have not acknowledged; also after a
        restart of either side."""
        found = self.call("GET", "/v1/transactions?unacknowledged=true")
        return [Transaction(each) for each in found["transactions"]]

    def pin(
        self,
        transaction: Transaction,
        pin: str | None = None,
        new_pin: str | None = None,
        *,
        confirm_last_try: bool = False,
    ) -> Transaction:
        """Present what the holder typed for this snapshot; without a PIN, begin on the
        reader's keypad. It is presented once: what the card said is in the snapshots that
        follow. `transaction.bad_state` means that the snapshot was not the last one, and
        that no card was asked."""
        body = {
            "pin": pin,
            "new_pin": new_pin,
            "seq": transaction.data["seq"],
            "confirm_last_try": confirm_last_try,
        }
        said = {key: value for key, value in body.items() if value is not None}
        return Transaction(
            self._post(f"/v1/transactions/{transaction.id}/pin", said, None)
        )

    def activations(
        self, limit: int = 100, *, unfinished: bool = False
    ) -> list[Mapping[str, Any]]:
        """The durable records, the newest first, or those that are `unfinished`;
        `needs_a_person` says which wait to be settled."""
        only = "&unfinished=true" if unfinished else ""
        answer = self.call("GET", f"/v1/activations?limit={limit}{only}")
        found: list[Mapping[str, Any]] = answer["activations"]
        return found

    def settle(
        self, activation: str, verdict: str, reason: str, operator_ref: str
    ) -> Mapping[str, Any]:
        """A person has asked the centre: "active" or "rejected", and why. It cannot be
        taken back."""
        body = {"verdict": verdict, "reason": reason, "operator_ref": operator_ref}
        return self._post(f"/v1/activations/{activation}/settle", body, None)

    def readers(self) -> list[Mapping[str, Any]]:
        """Every reader."""
        return list(self.call("GET", "/v1/readers")["readers"])

    def is_present(self, insertion_id: str) -> bool:
        """Whether that same card is still in its reader, and was never out."""
        return bool(self.call("GET", f"/v1/presence/{insertion_id}")["present"])

    def support_bundle(self) -> bytes:
        """A zip for support, which names nobody."""
        with self._proven(LONG_POLL_SECONDS) as connection:
            path = "/v1/diagnostics/bundle"
            status, raw = _exchange(connection, "GET", path, self._bearer)
        if status >= 400:
            raise KaqiError(status, _parsed(raw))
        return raw

    def events(self, last_event_id: int | None = None) -> Iterator[Event]:
        """What happens, as it happens, without end; stop by leaving the loop. A stream that
        breaks is taken up again where it was, as soon as the agent answers. The first event
        is `stream.snapshot`, or, where something of the past is lost, `stream.gap`."""
        pause = threading.Event()
        while True:
            try:
                for event in self._stream(last_event_id):
                    last_event_id = last_event_id if event.id is None else event.id
                    yield event
            except KaqiUnreachableError:
                pause.wait(RECONNECT_SECONDS)

    def _stream(self, last_event_id: int | None) -> Iterator[Event]:
        headers = self._bearer
        if last_event_id is not None:
            headers["Last-Event-ID"] = str(last_event_id)
        with self._proven(SILENCE_SECONDS) as connection:
            connection.request("GET", "/v1/events", headers=headers)
            answer = connection.getresponse()
            if answer.status != 200:
                raise KaqiError(answer.status, _parsed(answer.read()))
            yield from _events(answer)
            raise KaqiUnreachableError("the stream has ended")

    def _act(self, transaction: Transaction, action: str) -> Transaction:
        return Transaction(
            self._post(f"/v1/transactions/{transaction.id}/{action}", {}, None)
        )

    def _post(
        self, path: str, body: Mapping[str, Any], idempotency_key: str | None
    ) -> dict[str, Any]:
        """Send until an answer comes, always with the same key."""
        key = idempotency_key or str(uuid.uuid4())
        for attempt in range(1, TRIES + 1):
            try:
                return self.call("POST", path, body, key)
            except KaqiUnreachableError:
                if attempt == TRIES:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        *,
        patience: float = SHORT_SECONDS,
    ) -> dict[str, Any]:
        """One request. Raises KaqiError for a problem, KaqiUnreachableError for silence and
        KaqiImpostorError for somebody who is not our agent."""
        headers = self._bearer
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        with self._proven(patience) as connection:
            status, raw = _exchange(connection, method, path, headers, body)
        return _accepted(status, raw)

    @property
    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"}

    @contextmanager
    def _proven(self, patience: float) -> Iterator[http.client.HTTPConnection]:
        """A connection whose other end knows our token. Every one proves it anew: since the
        last one the agent may have died and another program have taken its port."""
        client_id = self._token.rpartition("~")[0]
        nonce = secrets.token_hex(32)
        key = hashlib.sha256(self._token.encode()).digest()
        message = f"kaqi-hello\n{nonce}\n{self.address}".encode()
        expected = hmac.digest(key, message, "sha256").hex()
        said = {"client_id": client_id, "nonce": nonce}
        with _connected(self.address, patience) as connection:
            status, raw = _exchange(connection, "POST", "/v1/hello", {}, said)
            if status in (429, 503):  # too busy to prove anything
                raise KaqiError(status, _parsed(raw))
            if not hmac.compare_digest(_proof(raw), expected.encode()):
                raise KaqiImpostorError(self.address)
            yield connection


@contextmanager
def _connected(address: str, patience: float) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(address, timeout=patience)
    connection.auto_open = 0  # a new connection would be to somebody who proved nothing
    try:
        connection.connect()
        yield connection
    except (OSError, http.client.HTTPException) as failed:
        raise KaqiUnreachableError(str(failed)) from failed
    finally:
        connection.close()


def _exchange(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: Mapping[str, Any] | None = None,
) -> tuple[int, bytes]:
    """One request and its answer: the status and the content."""
    content = None if body is None else json.dumps(body).encode()
    kind = {} if body is None else {"Content-Type": "application/json"}
    connection.request(method, path, content, {**headers, **kind})
    answer = connection.getresponse()
    return answer.status, answer.read()


def _asked_once(
    address: str,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    with _connected(address, SHORT_SECONDS) as connection:
        status, raw = _exchange(connection, method, path, headers, body)
    return _accepted(status, raw)


def _accepted(status: int, raw: bytes) -> dict[str, Any]:
    found = _parsed(raw)
    if status >= 400:
        raise KaqiError(status, found)
    return found


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw) if raw else {}
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise KaqiUnreachableError("the answer is not the agent's")
    return found


def _proof(raw: bytes) -> bytes:
    """What somebody answered who may be anybody."""
    try:
        return str(_parsed(raw).get("proof")).encode("utf-8", "replace")
    except KaqiUnreachableError:
        return b""


def _events(lines: Iterable[bytes]) -> Iterator[Event]:
    """Server-sent events as the agent writes them: one line of data each."""
    said: dict[str, str] = {}
    for raw in lines:
        name, _, value = raw.decode().rstrip("\r\n").partition(": ")
        if name:
            said[name] = value
        elif "data" in said:
            number = int(said["id"]) if "id" in said else None
            yield Event(said.get("event", "message"), number, json.loads(said["data"]))
            said = {}
