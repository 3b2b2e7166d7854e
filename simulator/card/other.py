"""Cards that have nothing to do here, and are put in all the same."""

from __future__ import annotations

FILE_NOT_FOUND = bytes.fromhex("6A82")


class BankCard:
    """A bank card: it answers to reset, and knows none of our applications."""

    atr = bytes.fromhex("3B6800000073C84012009000")

    def reset(self) -> bytes:
        """There is no state to void."""
        return self.atr

    def process(self, command: bytes) -> bytes:
        """Whatever is selected is not there."""
        del command
        return FILE_NOT_FOUND
