"""Who is still there: a client that wants its transaction cancelled when it is lost shows up
now and then, or keeps an event stream open.
"""

from __future__ import annotations

from collections import Counter

LOSS_MS = 30_000  # after the last answer that it may have been waiting for


class Attendance:
    """Times are ticks, in milliseconds. Lives on the deciding thread."""

    def __init__(self) -> None:
        self._clients: dict[str, str] = {}  # by transaction
        self._until: dict[str, float] = {}
        self._following: Counter[str] = Counter()  # event streams by client

    def begin(self, transaction_id: str, client_id: str, now: int) -> None:
        """From now on its client must be there."""
        self._clients[transaction_id] = client_id
        self._until[transaction_id] = now + LOSS_MS

    def __contains__(self, transaction_id: str) -> bool:
        """Whether its client must be there."""
        return transaction_id in self._clients

    def end(self, transaction_id: str) -> None:
        """It need not be there any more."""
        self._clients.pop(transaction_id, None)
        self._until.pop(transaction_id, None)

    def asked(self, transaction_id: str, now: int, seconds: float = 0.0) -> None:
        """Its client has asked for it, and waits so long for the answer at most."""
        if transaction_id in self._until:
            until = now + seconds * 1000 + LOSS_MS
            self._until[transaction_id] = max(until, self._until[transaction_id])

    def follows(self, client_id: str) -> None:
        """One more event stream of this client."""
        self._following[client_id] += 1

    def left(self, client_id: str, now: int) -> None:
        """One of them has ended; until now the client was there."""
        self._following[client_id] -= 1
        for transaction_id, client in self._clients.items():
            if client == client_id:
                self.asked(transaction_id, now)

    def lost_in(self, transaction_id: str, now: int) -> float:
        """In how many milliseconds its client is lost, if nothing is heard of it until
        then; zero or less when it is."""
        if self._following[self._clients[transaction_id]] > 0:
            return LOSS_MS
        return self._until[transaction_id] - now
