"""A reader whose card, PSAM and HSM say whatever the input says.

The input is read as parts: one byte n, then n bytes. From F0 on, n stands for (n - EF) times
4 KiB of filling before two more bytes, so that few bytes can answer with many. At the end
of the input the card is gone.

On a serial line the input is pieces: one byte n, then n bytes that arrive at once. Without
any, nothing comes for as long as somebody waits; FF wakes whoever does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

from drivers.errors import CardProtocolError, CardRemovedError, NoKeypadError
from drivers.iso7816.apdu import ApduError, CommandApdu, ResponseApdu
from drivers.ports import CardConnection, Disposition, PinEntry, PinOperation
from plugin.card.authentication import HsmAnswer, HsmQuestion
from plugin.centre.port import CentreTimeoutError

FILLING_FROM = 0xF0
FILLING = bytes(4096)
STATUS_WORD = 2
WOKEN = 0xFF
MOMENT = 0.001


class Parts:
    """The input, part by part."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    def next(self) -> bytes | None:
        """The next part; None at the end of the input."""
        if self._at >= len(self._raw):
            return None
        length = self._raw[self._at]
        if length < FILLING_FROM:
            return self._take(length)
        return FILLING * (length - FILLING_FROM + 1) + self._take(STATUS_WORD)

    def _take(self, length: int) -> bytes:
        start = self._at + 1
        self._at = start + length
        return self._raw[start : self._at]


def parts(*each: bytes) -> bytes:
    """The input that has these parts (of up to 239 bytes)."""
    return b"".join(bytes((len(part),)) + part for part in each)


class HostileCard:
    """A connection to a card that answers with the parts of the input."""

    def __init__(self, said: Parts, atr: bytes = b"") -> None:
        self._said = said
        self.atr = atr
        self.sent = 0

    def transmit(self, command: CommandApdu) -> ResponseApdu:
        """The next part, whatever was asked."""
        self.sent += 1
        CommandApdu.parse(bytes(command))
        answer = self._said.next()
        if answer is None:
            raise CardRemovedError
        try:
            return ResponseApdu.parse(answer)
        except ApduError as wrong:
            raise CardProtocolError(str(wrong)) from wrong

    def keypad(self) -> frozenset[PinOperation]:
        """None."""
        return frozenset()

    def enter_pin(self, entry: PinEntry) -> ResponseApdu:
        """Nobody types here."""
        raise NoKeypadError(str(entry.command))

    def exclusively(self) -> AbstractContextManager[None]:
        """Nobody else is here."""
        return nullcontext()

    def close(self, disposition: Disposition = Disposition.LEAVE) -> None:
        """Nothing is held."""


class HostileSlot:
    """A reader with this card in it."""

    name = "hostile"

    def __init__(self, card: CardConnection) -> None:
        self._card = card

    def connect(self) -> CardConnection:
        """The card."""
        return self._card

    def stalled(self) -> CardRemovedError:
        """It never is."""
        return CardRemovedError()

    def close(self) -> None:
        """Nothing is held."""


class HostileHsm:
    """An HSM that answers with the parts of the input; an empty original is the right one."""

    def __init__(self, said: Parts) -> None:
        self._said = said

    def answer(self, question: HsmQuestion) -> HsmAnswer:
        """Four parts."""
        internal, of_internal, external, of_external = (
            self._said.next() for _ in range(4)
        )
        if internal is None or external is None:
            raise CentreTimeoutError
        return HsmAnswer(
            internal=internal,
            internal_original=of_internal or question.internal_original,
            external=external,
            external_original=of_external or question.external_original,
        )


def pieces(raw: bytes) -> Iterator[bytes | None]:
    """What arrives on a line, piece by piece; None stands for being woken."""
    at = 0
    while at < len(raw):
        length = 0 if raw[at] == WOKEN else raw[at]
        yield None if raw[at] == WOKEN else raw[at + 1 : at + 1 + length]
        at += 1 + length


class HostileLine:
    """A line on which these pieces arrive, and the clock of those who wait for them."""

    def __init__(self, arriving: Iterator[bytes | None]) -> None:
        self._arriving = arriving
        self.sent: list[bytes] = []
        self.now = 0.0

    def clock(self) -> float:
        """Moves while nothing comes."""
        return self.now

    def write(self, data: bytes) -> None:
        """Nobody minds what is said."""
        self.sent.append(data)

    def read(self, seconds: float) -> bytes | None:
        """The next piece; silence behind the last."""
        came = next(self._arriving, b"")
        self.now += seconds if came == b"" else MOMENT
        return came

    def wake(self) -> None:
        """The input says when that is."""

    def close(self) -> None:
        """Nothing is held."""
