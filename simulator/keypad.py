"""A reader's own keypad, and the person in front of it."""

from __future__ import annotations

import queue

from drivers.errors import (
    PinCancelledError,
    PinLengthError,
    PinMismatchError,
    PinTimeoutError,
)
from drivers.ports import PinEntry, PinOperation

CANCEL_KEY = "cancel"


class Keypad:
    """What is typed waits for the reader to ask; nobody else ever sees it. `prompts` counts
    how often the reader has asked, `is_asking` says whether it does now."""

    def __init__(self) -> None:
        self._typed: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.prompts = 0
        self.is_asking = False

    def type(self, *entries: str) -> None:
        """Digits, each entry ended with the enter key."""
        for entry in entries:
            self._typed.put(entry)

    def cancel(self) -> None:
        """Press the cancel key."""
        self._typed.put(CANCEL_KEY)

    def command(self, entry: PinEntry) -> bytes:
        """The command with what was typed in its places. Raises PinEntryError."""
        wanted = 1 if entry.operation is PinOperation.VERIFY else 3
        self.prompts += 1
        self.is_asking = True
        try:
            digits = [self._digits(entry) for _ in range(wanted)]
        finally:
            self.is_asking = False
        if wanted > 1 and digits[1] != digits[2]:
            raise PinMismatchError
        raw = bytearray(bytes(entry.command))
        for place, typed in zip(entry.places, digits, strict=False):
            begin = 5 + place
            packed = bytes.fromhex(typed.ljust(2 * entry.length, "F"))
            raw[begin : begin + entry.length] = packed
        return bytes(raw)

    def _digits(self, entry: PinEntry) -> str:
        try:
            typed = self._typed.get(timeout=entry.seconds)
        except queue.Empty:
            raise PinTimeoutError from None
        if typed == CANCEL_KEY:
            raise PinCancelledError
        if not entry.digits_min <= len(typed) <= entry.digits_max:
            raise PinLengthError
        return typed
