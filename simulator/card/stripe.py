"""Old medical cards that are a magnetic stripe and nothing more (domain facts, 6)."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.scenario import CardPulledError


class StripeCard:
    """In a chip reader it is mute; a track reader sends `sent` of it."""

    atr = b"\x00"

    def __init__(self, sent: bytes) -> None:
        self.sent = sent

    def reset(self) -> bytes:
        """There is no chip."""
        return self.atr

    def process(self, command: bytes) -> bytes:
        """There is no chip."""
        raise CardPulledError(f"{len(command)} bytes for a stripe")


@dataclass(frozen=True, kw_only=True)
class StripeOrder:
    """What is written onto a stripe: tracks by their number, without sentinels; `number` is
    the one among them that names the card. A track reader sends each with its LRC, a CR
    behind the last."""

    number: str
    tracks: dict[int, str]

    def engine(self) -> StripeCard:
        """A fresh card."""
        sent = b"".join(
            _as_sent(number, text) for number, text in sorted(self.tracks.items())
        )
        return StripeCard(sent + b"\r")


def _as_sent(number: int, text: str) -> bytes:
    """Sentinels around it, and the LRC: the exclusive or of the codes on the stripe, which
    count from space on track 1 and from zero on the others (ISO 7811-2)."""
    start, zero, bits = ("%", 0x20, 0x3F) if number == 1 else (";", 0x30, 0x0F)
    framed = f"{start}{text}?".encode("ascii")
    lrc = 0
    for each in framed:
        lrc ^= each - zero
    return framed + bytes((zero + (lrc & bits),))
