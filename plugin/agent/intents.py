"""Names for what a client has asked for."""

from __future__ import annotations

import uuid


class IntentIds:
    """UUIDs that sort by time (RFC 9562, 5.7), the 12 bits behind the time counted so
    that no two of one millisecond begin alike (6.2, method 1)."""

    def __init__(self) -> None:
        self._last = 0

    def new(self, milliseconds: int) -> str:
        """The next one; never smaller than the one before, whatever the clock does."""
        self._last = max(self._last + 1, milliseconds << 12)
        high = self._last >> 12 << 16 | 0x7 << 12 | self._last & 0xFFF
        low = 0b10 << 62 | uuid.uuid4().int & (1 << 62) - 1
        return str(uuid.UUID(int=high << 64 | low))
