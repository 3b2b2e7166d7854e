"""Whose ends are still to be acknowledged: a client says so when it knows how a transaction
has ended. Until then it is named again whenever somebody asks, and at every start.
"""

from __future__ import annotations

from collections.abc import Iterable

from plugin.activation.saga import Activation

KEPT = 1_000  # of a client that never acknowledges: some days of a busy till


class Outstanding:
    """Transactions by their ids, with the client of each; of too many the oldest count as
    acknowledged. Lives on the deciding thread."""

    def __init__(self) -> None:
        self._clients: dict[str, str] = {}

    def load(self, recent: Iterable[Activation]) -> None:
        """What the last run has left: its records, the newest first."""
        left = [record.origin for record in recent if record.unseen]
        earlier = {each.transaction_id: each.client_id for each in reversed(left)}
        self._clients = earlier | self._clients

    def add(self, transaction_id: str, client_id: str) -> None:
        """From now on this one is to be acknowledged."""
        self._clients[transaction_id] = client_id
        if len(self._clients) > KEPT:
            del self._clients[next(iter(self._clients))]

    def discard(self, transaction_id: str) -> None:
        """It was, or there is nothing left of it."""
        self._clients.pop(transaction_id, None)

    def __contains__(self, transaction_id: str) -> bool:
        return transaction_id in self._clients

    def of(self, client_id: str | None) -> list[str]:
        """Those of this client, or of all; the newest first."""
        everybody = client_id is None
        return [
            transaction_id
            for transaction_id, client in reversed(self._clients.items())
            if everybody or client == client_id
        ]
