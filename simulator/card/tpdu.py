"""A card behind T=0 (ISO 7816-3, 10 and 12.2): five bytes in front, data in one direction
only, and what a command with data has to say is fetched with GET RESPONSE."""

from __future__ import annotations

from simulator.scenario import Card

GET_RESPONSE = 0xC0
INCOMING = frozenset(
    {0x20, 0x24, 0x5E, 0x82, 0xA4}
)  # never followed by data of the card
NOTHING_TO_FETCH = bytes.fromhex("6985")
WRONG_LENGTH = bytes.fromhex("6700")


class T0:
    """Carries TPDUs to a card and back."""

    def __init__(self, card: Card) -> None:
        self._card = card
        self._waiting = b""

    def reset(self) -> bytes:
        """Returns the answer to reset."""
        self._waiting = b""
        return self._card.reset()

    def process(self, tpdu: bytes) -> bytes:
        """One TPDU: header, P3, and P3 bytes or none."""
        if len(tpdu) < 5 or len(tpdu) not in (5, 5 + tpdu[4]):
            return WRONG_LENGTH
        if tpdu[1] == GET_RESPONSE and self._waiting:
            return self._fetched(tpdu[4] or 256)
        self._waiting = b""
        if len(tpdu) == 5:
            nothing = not tpdu[4] and tpdu[1] in INCOMING
            return self._card.process(tpdu[:4] if nothing else tpdu)
        answer = self._card.process(tpdu)
        if len(answer) <= 2:
            return answer
        self._waiting = answer
        return bytes((0x61, (len(answer) - 2) & 0xFF))

    def _fetched(self, wanted: int) -> bytes:
        there = len(self._waiting) - 2
        if wanted > there:
            return bytes((0x6C, there))
        if wanted < there:
            given, self._waiting = self._waiting[:wanted], self._waiting[wanted:]
            return given + bytes((0x61, (len(self._waiting) - 2) & 0xFF))
        answer, self._waiting = self._waiting, b""
        return answer


def characters(tpdu: bytes, answer: bytes) -> int:
    """How many characters cross the contacts: header, procedure byte, data, status word
    (a command without data has no procedure byte)."""
    data = len(tpdu) - 5 + len(answer) - 2
    return 5 + (1 if data else 0) + data + 2
