"""A POS vendor's client for the kaqi agent on this machine.

One typed file: copy it into your program. It needs Python 3.11 and nothing else.

    kaqi = Kaqi(token="...")
    transaction = kaqi.start("pharmacy", pos_ref="4711")
    while not transaction.ended:
        show(transaction.instruction("zh-CN"), transaction.problem)
        if "confirm" in transaction.allowed_actions and operator_says_yes(transaction):
            transaction = kaqi.confirm(transaction)
        else:
            transaction = kaqi.next(transaction)
    print(transaction.outcome, transaction.receipt("zh-CN"))

Every POST carries an Idempotency-Key, and is sent again with the same key when the answer
is lost: nothing happens twice.
"""

from __future__ import annotations

import http.client
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DEFAULT_ADDRESS = "127.0.0.1:15274"
ENDED = frozenset({"succeeded", "failed", "cancelled", "expired"})
TRIES = 3
SHORT_SECONDS = 10.0
LONG_POLL_SECONDS = 25.0


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


class Kaqi:
    """The agent. Calls block; use one object per thread."""

    def __init__(self, *, token: str, address: str = DEFAULT_ADDRESS) -> None:
        self._token = token
        self._address = address

    def start(
        self,
        scenario: str,
        *,
        pos_ref: str | None = None,
        operator_ref: str | None = None,
        readers: list[str] | None = None,
        idempotency_key: str | None = None,
    ) -> Transaction:
        """Start an activation. Keep `idempotency_key` with your sale: the same key after a
        crash finds the same transaction."""
        body = {
            "kind": "activation",
            "scenario": scenario,
            "pos_ref": pos_ref,
            "operator_ref": operator_ref,
            "readers": readers,
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

    def activations(self, limit: int = 100) -> list[Mapping[str, Any]]:
        """The durable records, the newest first; `needs_a_person` says which wait to be
        settled."""
        answer = self.call("GET", f"/v1/activations?limit={limit}")
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
        """One request. Raises KaqiError for a problem, KaqiUnreachableError for silence."""
        headers = {"Authorization": f"Bearer {self._token}"}
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body).encode()
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        connection = http.client.HTTPConnection(self._address, timeout=patience)
        try:
            connection.request(method, path, content, headers)
            answer = connection.getresponse()
            raw = answer.read()
        except (OSError, http.client.HTTPException) as failed:
            raise KaqiUnreachableError(str(failed)) from failed
        finally:
            connection.close()
        try:
            found: dict[str, Any] = json.loads(raw) if raw else {}
        except ValueError as wrong:
            raise KaqiUnreachableError("the answer is not the agent's") from wrong
        if answer.status >= 400:
            raise KaqiError(answer.status, found)
        return found
